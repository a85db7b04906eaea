// Synthesis: docs/format.md section 9.7. Grids -> normalized samples of a region.
//
// Grids 6 to 1 are upsampled as whole planes of the region's size; from the finest on, one row of pixels at a time goes
// through kernels, hidden layer and residual convolutions.
#ifndef INR_SYNTHESIS_H
#define INR_SYNTHESIS_H

#include "networks.h"
#include "upsampling.h"

enum { RING = 5 };  // rows of the finest grid that its kernels need

typedef struct {
    const Grid *grids;
    const Preset *preset;
    Networks networks;
    float *wider, *between;  // room for a row
    float *features;
    float *symbols[RING];
    float *results[RESIDUALS][3];
    float *pixels;
    i64 plane;  // floats of a row of one channel
} Rows;

// Columns that a row may have beyond those of the region: margins of the networks, cells of coarser grids around it.
enum { MORE_COLUMNS = 32 };

static int make_rows_of(Rows *rows, i32 columns, i32 channels) {
    rows->plane = row_floats(columns + MORE_COLUMNS);
    float **each[] = {&rows->wider,      &rows->between,    &rows->symbols[0], &rows->symbols[1],
                      &rows->symbols[2], &rows->symbols[3], &rows->symbols[4]};
    for (u32 i = 0; i < sizeof(each) / sizeof(*each); i++) {
        float *memory = allocate(sizeof(float) * (u64)rows->plane);
        if (!memory) return NO_MEMORY;
        *each[i] = memory + SLACK;
    }
    float *features = allocate(sizeof(float) * (u64)(rows->plane * rows->networks.features));
    float *pixels = allocate(sizeof(float) * (u64)(rows->plane * channels));
    if (!features || !pixels) return NO_MEMORY;
    rows->features = features + SLACK;
    rows->pixels = pixels + SLACK;
    for (i32 r = 0; r < RESIDUALS; r++)
        for (i32 i = 0; i < 3; i++) {
            float *memory = allocate(sizeof(float) * (u64)(rows->plane * channels));
            if (!memory) return NO_MEMORY;
            rows->results[r][i] = memory + SLACK;
        }
    return OK;
}

// Row of a grid as it joins the features.
static void own_row(const Rows *rows, i32 level, i32 row, i32 left, i32 right, float *out) {
    const Grid *grid = &rows->grids[level];
    if (!rows->preset->has_smoothing) {
        plain_row(grid, row, left, right, out);
        return;
    }
    const float *taps = rows->networks.smoothing + level * (SMOOTHING + 1);
    smoothed_row(grid, row, left, right, taps, rows->wider, out);
}

// All grids from the coarsest to grid 1, at the resolution of the latter, to `planes`.
static int upsample(Rows *rows, const Region *regions, Planes *planes) {
    for (i32 level = LEVELS - 1; level >= 1; level--) {
        Planes finer;
        if (make_planes(&finer, regions[level], LEVELS - level)) return NO_MEMORY;
        for (i32 row = finer.region.top; row < finer.region.bottom; row++) {
            own_row(rows, level, row, finer.region.left, finer.region.right, plane_row(&finer, 0, row));
            if (level == LEVELS - 1) continue;
            doubled_row(
                planes, rows->networks.up + 4 * level, row, finer.region.left, finer.region.right, rows->between,
                plane_row(&finer, 1, row), finer.plane
            );
        }
        *planes = finer;
    }
    return OK;
}

INLINE i32 slot(i32 row, i32 count) { return ((row % count) + count) % count; }

static void features_row(Rows *rows, const Planes *planes, i32 row, i32 left, i32 right) {
    float *x = rows->features;
    doubled_row(planes, rows->networks.up, row, left, right, rows->between, x + rows->plane, rows->plane);
    own_row(rows, 0, row, left, right, x);
    if (!rows->preset->has_kernels) return;
    const float *around[RING];
    for (i32 i = 0; i < RING; i++) around[i] = rows->symbols[slot(row + i - 2, RING)];
    kernels_row(&rows->networks, around, right - left, x + LEVELS * rows->plane, rows->plane);
}

// Symbols of a row of the finest grid, for the kernels: two columns more on each side.
static void symbols_row(Rows *rows, i32 row, i32 left, i32 right) {
    if (rows->preset->has_kernels) plain_row(&rows->grids[0], row, left - 2, right + 2, rows->symbols[slot(row, RING)]);
}

static void residual_row(Rows *rows, i32 r, i32 row, i32 columns, float *out) {
    const float *around[3];
    for (i32 i = 0; i < 3; i++) around[i] = rows->results[r][slot(row + i - 1, 3)];
    residual(&rows->networks, r, around, rows->plane, columns, out, rows->plane);
}

// ---- samples ----
// NaN becomes 0.
INLINE float limited(float value) { return value > 0 ? (value < 1 ? value : 1) : 0; }

static void put_bytes(const Rows *rows, i32 columns, u8 *out) {
    const i32 channels = rows->networks.channels;
    for (i32 c = 0; c < channels; c++) {
        const float *values = rows->pixels + c * rows->plane;
        // Adding 1.5 * 2^23 rounds to an integer, ties to even, and leaves it in the lowest bits.
        for (i32 x = 0; x < columns; x++) {
            union {
                float number;
                u32 bits;
            } rounded = {limited(values[x]) * 255 + 12582912.0f};
            out[x * channels + c] = (u8)rounded.bits;
        }
    }
}

static void put_floats(const Rows *rows, i32 columns, float *out) {
    const i32 channels = rows->networks.channels;
    for (i32 c = 0; c < channels; c++)
        for (i32 x = 0; x < columns; x++) out[x * channels + c] = limited(rows->pixels[c * rows->plane + x]);
}

// Samples of a region, row by row, to `out`: bytes 0..255, or floats 0..1.
static int synthesize_region(
    const Grid *grids, const Tensors *tensors, const Preset *preset, i32 channels, Region region, i32 as_bytes,
    void *out
) {
    Rows rows = {.grids = grids, .preset = preset};
    Region regions[LEVELS] = {grown(region, RESIDUALS)};
    for (i32 level = 1; level < LEVELS; level++) regions[level] = coarser(regions[level - 1]);
    Planes planes;
    if (make_networks(&rows.networks, tensors, preset, channels)) return NO_MEMORY;
    if (make_rows_of(&rows, region.right - region.left, channels)) return NO_MEMORY;
    if (upsample(&rows, regions, &planes)) return NO_MEMORY;
    Region wide = regions[0];
    i32 columns = region.right - region.left;
    for (i32 row = wide.top - 2; row < wide.top + 2; row++) symbols_row(&rows, row, wide.left, wide.right);
    for (i32 row = wide.top; row < wide.bottom; row++) {
        symbols_row(&rows, row + 2, wide.left, wide.right);
        features_row(&rows, &planes, row, wide.left, wide.right);
        hidden(
            &rows.networks, rows.features, rows.plane, wide.right - wide.left, rows.results[0][slot(row, 3)], rows.plane
        );
        // Each convolution follows one row behind the one before it.
        if (row - 1 <= wide.top) continue;
        residual_row(&rows, 0, row - 1, columns + 2, rows.results[1][slot(row - 1, 3)]);
        i32 done = row - 2;
        if (done < region.top) continue;
        residual_row(&rows, 1, done, columns, rows.pixels);
        i64 start = (i64)(done - region.top) * columns * channels;
        if (as_bytes)
            put_bytes(&rows, columns, (u8 *)out + start);
        else
            put_floats(&rows, columns, (float *)out + start);
    }
    return OK;
}

#endif
