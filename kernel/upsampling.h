// Rows of grids, smoothed, continued beyond their edges and upsampled: docs/format.md section 9.7.
#ifndef INR_UPSAMPLING_H
#define INR_UPSAMPLING_H

#include "grids.h"

typedef struct {
    i32 top, bottom, left, right;
} Region;

INLINE Region grown(Region region, i32 margin) {
    return (Region){region.top - margin, region.bottom + margin, region.left - margin, region.right + margin};
}
// The cells of the next coarser grid from which a region is upsampled.
INLINE Region coarser(Region region) {
    return (Region){
        (region.top >> 1) - 2, ((region.bottom - 1) >> 1) + 3, (region.left >> 1) - 2, ((region.right - 1) >> 1) + 3
    };
}

// Vectors may reach this far beyond the ends of a row.
enum { SLACK = 4 * LANES };

// A stack of channels of a region: `at` is its upper left cell.
typedef struct {
    float *at;
    Region region;
    i32 channels;
    i64 pitch, plane;
} Planes;

INLINE i64 row_floats(i32 columns) { return (columns + 2 * SLACK + 15) & ~15; }

static int make_planes(Planes *planes, Region region, i32 channels) {
    planes->region = region;
    planes->channels = channels;
    planes->pitch = row_floats(region.right - region.left);
    planes->plane = planes->pitch * (region.bottom - region.top);
    float *memory = allocate(sizeof(float) * (u64)(planes->plane * channels + 2 * SLACK));
    if (!memory) return NO_MEMORY;
    planes->at = memory + SLACK;
    return OK;
}

INLINE float *plane_row(const Planes *planes, i32 channel, i32 row) {
    return planes->at + channel * planes->plane + (row - planes->region.top) * planes->pitch;
}

INLINE const i16 *clamped_row(const Grid *grid, i32 row) { return cell_of(grid, clip(row, 0, grid->rows - 1), 0); }

// Columns left … right - 1 of a row of a grid, which has at least one of them; the cells beyond its edges continued.
static void plain_row(const Grid *grid, i32 row, i32 left, i32 right, float *out) {
    const i16 *cells = clamped_row(grid, row);
    i32 first = most(0, left), end = least(grid->columns, right);
    for (i32 x = left; x < first; x++) out[x - left] = cells[0];
    for (i32 x = first; x < end; x++) out[x - left] = cells[x];
    for (i32 x = end; x < right; x++) out[x - left] = cells[grid->columns - 1];
}

// The same, smoothed down and then across. wider: room for SMOOTHING columns more on each side.
static void smoothed_row(const Grid *grid, i32 row, i32 left, i32 right, const float *taps, float *wider, float *out) {
    plain_row(grid, row, left - SMOOTHING, right + SMOOTHING, wider);
    i32 first = most(0, left - SMOOTHING), end = least(grid->columns, right + SMOOTHING);
    float *column = wider + SMOOTHING - left;  // column x at column[x]
    for (i32 x = first; x < end; x++) column[x] *= taps[0];
    for (i32 away = 1; away <= SMOOTHING; away++) {
        const i16 *above = clamped_row(grid, row - away), *below = clamped_row(grid, row + away);
        for (i32 x = first; x < end; x++) column[x] += taps[away] * (float)(above[x] + below[x]);
    }
    for (i32 x = left - SMOOTHING; x < first; x++) column[x] = column[first];
    for (i32 x = end; x < right + SMOOTHING; x++) column[x] = column[end - 1];
    for (i32 x = 0; x < right - left; x += LANES) {
        const float *at = wider + SMOOTHING + x;
        vf sum = load(at) * taps[0];
        UNROLL
        for (i32 away = 1; away <= SMOOTHING; away++)
            sum = multiply_add(load(at - away) + load(at + away), splat_float(taps[away]), sum);
        store(out + x, sum);
    }
}

// ---- upsampling ----
// Every channel of a row of the next finer grid: doubled down into `between`, then across.
static void doubled_row(
    const Planes *planes, const float *w, i32 row, i32 left, i32 right, float *between, float *out, i64 out_plane
) {
    i32 columns = planes->region.right - planes->region.left, even = !(row & 1);
    float w0 = w[even ? 0 : 3], w1 = w[even ? 1 : 2], w2 = w[even ? 2 : 1], w3 = w[even ? 3 : 0];
    i32 first = (row >> 1) - (even ? 2 : 1);
    for (i32 channel = 0; channel < planes->channels; channel++) {
        const float *a = plane_row(planes, channel, first), *b = a + planes->pitch, *c = b + planes->pitch,
                    *d = c + planes->pitch;
        for (i32 x = 0; x < columns; x += LANES) {
            vf sum = load(d + x) * w3;
            sum = multiply_add(load(c + x), splat_float(w2), sum);
            sum = multiply_add(load(b + x), splat_float(w1), sum);
            store(between + x, multiply_add(load(a + x), splat_float(w0), sum));
        }
        // Cell left >> 1 is the third one: coarser() has two before it. An odd `left` begins with an odd result.
        float *to = out + channel * out_plane - (left & 1);
        for (i32 x = 0; 2 * x < right - left + 1; x += LANES) {
            vf q0 = load(between + x), q1 = load(between + x + 1), q2 = load(between + x + 2),
               q3 = load(between + x + 3);
            vf q4 = load(between + x + 4);
            vf evens = multiply_add(
                q0, splat_float(w[0]),
                multiply_add(q1, splat_float(w[1]), multiply_add(q2, splat_float(w[2]), q3 * w[3]))
            );
            vf odds = multiply_add(
                q1, splat_float(w[3]),
                multiply_add(q2, splat_float(w[2]), multiply_add(q3, splat_float(w[1]), q4 * w[0]))
            );
            store(to + 2 * x, __builtin_shufflevector(evens, odds, 0, 4, 1, 5));
            store(to + 2 * x + LANES, __builtin_shufflevector(evens, odds, 2, 6, 3, 7));
        }
    }
}

#endif
