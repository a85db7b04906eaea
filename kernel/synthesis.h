// Synthesis: docs/format.md section 9.7. Grids -> normalized samples of a region, in single precision.
//
// Grids 6 to 1 are upsampled as whole planes of the region's size; from the finest on, one row of pixels at a time goes
// through kernels, hidden layer and residual convolutions.
#ifndef INR_SYNTHESIS_H
#define INR_SYNTHESIS_H

#include "grids.h"

typedef struct {
    i32 top, bottom, left, right;
} Region;

INLINE Region grown(Region region, i32 margin) {
    return (Region){region.top - margin, region.bottom + margin, region.left - margin, region.right + margin};
}
// The cells of the next coarser grid from which a region is upsampled.
INLINE Region coarser(Region region) {
    return (Region){(region.top >> 1) - 2, ((region.bottom - 1) >> 1) + 3, (region.left >> 1) - 2,
                    ((region.right - 1) >> 1) + 3};
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

// ---- a row of a grid ----
INLINE const i16 *clamped_row(const Grid *grid, i32 row) { return cell_of(grid, clip(row, 0, grid->rows - 1), 0); }

// Columns left … right - 1 of a row of a grid, which has at least one of them; the cells beyond its edges continued.
static void plain_row(const Grid *grid, i32 row, i32 left, i32 right, float *out) {
    const i16 *cells = clamped_row(grid, row);
    i32 first = most(0, left), end = least(grid->columns, right);
    for (i32 x = left; x < first; x++) out[x - left] = cells[0];
    for (i32 x = first; x < end; x++) out[x - left] = cells[x];
    for (i32 x = end; x < right; x++) out[x - left] = cells[grid->columns - 1];
}

// The same, smoothed down and then across. wider: room for SMOOTHING_MAX columns more on each side.
static void smoothed_row(const Grid *grid, i32 row, i32 left, i32 right, const float *taps, float *wider, float *out) {
    plain_row(grid, row, left - SMOOTHING_MAX, right + SMOOTHING_MAX, wider);
    i32 first = most(0, left - SMOOTHING_MAX), end = least(grid->columns, right + SMOOTHING_MAX);
    float *column = wider + SMOOTHING_MAX - left;  // column x at column[x]
    for (i32 x = first; x < end; x++) column[x] *= taps[0];
    for (i32 away = 1; away <= SMOOTHING_MAX; away++) {
        const i16 *above = clamped_row(grid, row - away), *below = clamped_row(grid, row + away);
        for (i32 x = first; x < end; x++) column[x] += taps[away] * (float)(above[x] + below[x]);
    }
    for (i32 x = left - SMOOTHING_MAX; x < first; x++) column[x] = column[first];
    for (i32 x = end; x < right + SMOOTHING_MAX; x++) column[x] = column[end - 1];
    for (i32 x = 0; x < right - left; x += LANES) {
        const float *at = wider + SMOOTHING_MAX + x;
        vf sum = load(at) * taps[0];
        UNROLL for (i32 away = 1; away <= SMOOTHING_MAX; away++)
            sum = multiply_add(load(at - away) + load(at + away), splat_float(taps[away]), sum);
        store(out + x, sum);
    }
}

// ---- upsampling ----
// Every channel of a row of the next finer grid: doubled down into `between`, then across.
static void doubled_row(const Planes *planes, const float *w, i32 row, i32 left, i32 right, float *between, float *out, i64 out_plane) {
    i32 columns = planes->region.right - planes->region.left, even = !(row & 1);
    float w0 = w[even ? 0 : 3], w1 = w[even ? 1 : 2], w2 = w[even ? 2 : 1], w3 = w[even ? 3 : 0];
    i32 first = (row >> 1) - (even ? 2 : 1);
    for (i32 channel = 0; channel < planes->channels; channel++) {
        const float *a = plane_row(planes, channel, first), *b = a + planes->pitch, *c = b + planes->pitch, *d = c + planes->pitch;
        for (i32 x = 0; x < columns; x += LANES) {
            vf sum = load(d + x) * w3;
            sum = multiply_add(load(c + x), splat_float(w2), sum);
            sum = multiply_add(load(b + x), splat_float(w1), sum);
            store(between + x, multiply_add(load(a + x), splat_float(w0), sum));
        }
        // Cell left >> 1 is the third one: coarser() has two before it. An odd `left` begins with an odd result.
        float *to = out + channel * out_plane - (left & 1);
        for (i32 x = 0; 2 * x < right - left + 1; x += LANES) {
            vf q0 = load(between + x), q1 = load(between + x + 1), q2 = load(between + x + 2), q3 = load(between + x + 3);
            vf q4 = load(between + x + 4);
            vf evens = multiply_add(q0, splat_float(w[0]), multiply_add(q1, splat_float(w[1]), multiply_add(q2, splat_float(w[2]), q3 * w[3])));
            vf odds = multiply_add(q1, splat_float(w[3]), multiply_add(q2, splat_float(w[2]), multiply_add(q3, splat_float(w[1]), q4 * w[0])));
#if defined(__AVX2__)
            store(to + 2 * x, __builtin_shufflevector(evens, odds, 0, 8, 1, 9, 2, 10, 3, 11));
            store(to + 2 * x + LANES, __builtin_shufflevector(evens, odds, 4, 12, 5, 13, 6, 14, 7, 15));
#else
            store(to + 2 * x, __builtin_shufflevector(evens, odds, 0, 4, 1, 5));
            store(to + 2 * x + LANES, __builtin_shufflevector(evens, odds, 2, 6, 3, 7));
#endif
        }
    }
}

// ---- networks ----
// In WebAssembly weights stand in memory as vectors: engines are slow to make these of one number.
#if defined(__wasm__)
enum { COPIES = LANES };
INLINE vf weight(const float *weights, i32 index) { return ((const vf *)weights)[index]; }
#else
enum { COPIES = 1 };
INLINE vf weight(const float *weights, i32 index) { return splat_float(weights[index]); }
#endif

typedef struct {
    float up[(LEVELS - 1) * 4], smoothing[LEVELS * (SMOOTHING_MAX + 1)];
    float *kernels;             // of each tap the weight of each kernel
    float *hidden;              // of each unit its bias, the features' weights, its weights in s2
    float *direct;              // of each channel its bias and the features' weights
    float *residual[RESIDUALS]; // of each input the weight of each channel
    float *residual_bias[RESIDUALS];
    i32 channels, features;
} Networks;

static float *room(u64 weights) { return allocate(sizeof(float) * COPIES * weights); }
INLINE void put(float *weights, i32 index, float value) {
    for (i32 copy = 0; copy < COPIES; copy++) weights[COPIES * index + copy] = value;
}

static int make_networks(Networks *networks, const Tensors *tensors, const Preset *preset, i32 channels) {
    const float unit = 1.0f / (float)(1 << preset->synthesis_bits);
    const i32 features = features_of(preset), taps = KERNEL_SIDE * KERNEL_SIDE, stride = 1 + features + channels;
    i32 *const *of = tensors->of;
    networks->channels = channels;
    networks->features = features;
    networks->kernels = room((u64)(taps * preset->kernels));
    networks->hidden = room((u64)(HIDDEN * stride));
    networks->direct = room((u64)(channels * (1 + features)));
    if (!networks->kernels || !networks->hidden || !networks->direct) return NO_MEMORY;
    for (u32 i = 0; i < tensors->sizes[UP]; i++) networks->up[i] = (float)of[UP][i] * unit;
    for (u32 i = 0; i < tensors->sizes[PF]; i++) networks->smoothing[i] = (float)of[PF][i] * unit;
    for (i32 kernel = 0; kernel < preset->kernels; kernel++)
        for (i32 tap = 0; tap < taps; tap++)
            put(networks->kernels, tap * preset->kernels + kernel, (float)of[KF][kernel * taps + tap] * unit);
    for (i32 j = 0; j < HIDDEN; j++) {
        put(networks->hidden, j * stride, (float)of[S1B][j] * unit);
        for (i32 i = 0; i < features; i++) put(networks->hidden, j * stride + 1 + i, (float)of[S1][j * features + i] * unit);
        for (i32 c = 0; c < channels; c++)
            put(networks->hidden, j * stride + 1 + features + c, (float)of[S2][c * HIDDEN + j] * unit);
    }
    for (i32 c = 0; c < channels; c++) {
        put(networks->direct, c * (1 + features), (float)of[S2B][c] * unit);
        for (i32 i = 0; i < features; i++)
            put(networks->direct, c * (1 + features) + 1 + i, (float)of[SS][c * features + i] * unit);
    }
    for (i32 r = 0; r < RESIDUALS; r++) {
        const i32 *kernel = of[r ? R1 : R0], *bias = of[r ? R1B : R0B];
        networks->residual[r] = room((u64)(9 * channels * channels));
        networks->residual_bias[r] = room((u64)channels);
        if (!networks->residual[r] || !networks->residual_bias[r]) return NO_MEMORY;
        for (i32 c = 0; c < channels; c++) {
            put(networks->residual_bias[r], c, (float)bias[c] * unit);
            for (i32 i = 0; i < 9 * channels; i++)
                put(networks->residual[r], i * channels + c, (float)kernel[c * 9 * channels + i] * unit);
        }
    }
    return OK;
}

// Channels 7 … of a row: 5x5 kernels of the finest grid. rows: five of them; column 0 of a result is column 2 there.
static void kernels_row(const Networks *networks, const float *const *rows, i32 columns, float *out, i64 plane) {
    for (i32 x = 0; x < columns; x += LANES) {
        vf sums[KERNELS_MAX] = {{0}};
        const float *weights = networks->kernels;
        ROLLED for (i32 row = 0; row < KERNEL_SIDE; row++) {
            UNROLL for (i32 column = 0; column < KERNEL_SIDE; column++) {
                vf value = load(rows[row] + x + column);
                UNROLL for (i32 kernel = 0; kernel < KERNELS_MAX; kernel++)
                    sums[kernel] = multiply_add(value, weight(weights, column * KERNELS_MAX + kernel), sums[kernel]);
            }
            weights += COPIES * KERNEL_SIDE * KERNELS_MAX;
            WALK(weights)
        }
        UNROLL for (i32 kernel = 0; kernel < KERNELS_MAX; kernel++) store(out + kernel * plane + x, sums[kernel]);
    }
}

enum { CHAINS = 3 };

// o = s2 relu(s1 x + s1b) + s2b + ss x along a row; C and F are constants where this is inlined.
INLINE void hidden_pixels(const i32 C, const i32 F, const Networks *networks, const float *x, i64 plane, i32 columns, float *out, i64 out_plane) {
    for (i32 at = 0; at < columns; at += LANES) {
        vf inputs[F], outputs[C];
        UNROLL for (i32 i = 0; i < F; i++) inputs[i] = load(x + i * plane + at);
        const float *direct = networks->direct;
        UNROLL for (i32 c = 0; c < C; c++) {
            outputs[c] = weight(direct, c * (1 + F));
            UNROLL for (i32 i = 0; i < F; i++) outputs[c] = multiply_add(inputs[i], weight(direct, c * (1 + F) + 1 + i), outputs[c]);
        }
        const float *unit = networks->hidden;
        ROLLED for (i32 j = 0; j < HIDDEN; j++) {
            // Several sums, because each addition waits for the one before it.
            vf sums[CHAINS];
            sums[0] = weight(unit, 0);
            UNROLL for (i32 i = 0; i < CHAINS - 1; i++) sums[i + 1] = inputs[i] * weight(unit, 1 + i);
            UNROLL for (i32 i = CHAINS - 1; i < F; i++)
                sums[i % CHAINS] = multiply_add(inputs[i], weight(unit, 1 + i), sums[i % CHAINS]);
            UNROLL for (i32 i = 1; i < CHAINS; i++) sums[0] += sums[i];
            vf value = rectified(sums[0]);
            UNROLL for (i32 c = 0; c < C; c++) outputs[c] = multiply_add(value, weight(unit, 1 + F + c), outputs[c]);
            unit += COPIES * (1 + F + C);
            WALK(unit)
        }
        UNROLL for (i32 c = 0; c < C; c++) store(out + c * out_plane + at, outputs[c]);
    }
}

// o + relu(r p + rb) along a row, the last time without relu. rows: three of o; column 0 of a result is column 1 there.
INLINE void residual_pixels(const i32 C, const float *weights, const float *bias, const float *const *rows, i64 plane, i32 columns, i32 is_last, float *out, i64 out_plane) {
    for (i32 at = 0; at < columns; at += LANES) {
        vf sums[C];
        UNROLL for (i32 c = 0; c < C; c++) sums[c] = weight(bias, c);
        const float *tap = weights;
        ROLLED for (i32 t = 0; t < 9; t++) {
            const float *values = rows[t / 3] + at + t % 3;
            UNROLL for (i32 d = 0; d < C; d++) {
                vf value = load(values + d * plane);
                UNROLL for (i32 c = 0; c < C; c++) sums[c] = multiply_add(value, weight(tap, d * C + c), sums[c]);
            }
            tap += COPIES * C * C;
            WALK(tap)
        }
        UNROLL for (i32 c = 0; c < C; c++) {
            vf before = load(rows[1] + c * plane + at + 1);
            store(out + c * out_plane + at, before + (is_last ? sums[c] : rectified(sums[c])));
        }
    }
}

// Any number of channels, one after another.
static void hidden_any(const Networks *networks, const float *x, i64 plane, i32 columns, float *out, i64 out_plane) {
    const i32 C = networks->channels, F = networks->features;
    for (i32 at = 0; at < columns; at += LANES) {
        for (i32 c = 0; c < C; c++) {
            vf sum = weight(networks->direct, c * (1 + F));
            for (i32 i = 0; i < F; i++)
                sum = multiply_add(load(x + i * plane + at), weight(networks->direct, c * (1 + F) + 1 + i), sum);
            store(out + c * out_plane + at, sum);
        }
        for (i32 j = 0; j < HIDDEN; j++) {
            const float *unit = networks->hidden + COPIES * j * (1 + F + C);
            vf value = weight(unit, 0);
            for (i32 i = 0; i < F; i++) value = multiply_add(load(x + i * plane + at), weight(unit, 1 + i), value);
            value = rectified(value);
            for (i32 c = 0; c < C; c++) {
                float *to = out + c * out_plane + at;
                store(to, multiply_add(value, weight(unit, 1 + F + c), load(to)));
            }
        }
    }
}
static void residual_any(const i32 C, const float *weights, const float *bias, const float *const *rows, i64 plane, i32 columns, i32 is_last, float *out, i64 out_plane) {
    for (i32 at = 0; at < columns; at += LANES)
        for (i32 c = 0; c < C; c++) {
            vf sum = weight(bias, c);
            for (i32 t = 0; t < 9; t++)
                for (i32 d = 0; d < C; d++)
                    sum = multiply_add(load(rows[t / 3] + d * plane + at + t % 3), weight(weights, (t * C + d) * C + c), sum);
            vf before = load(rows[1] + c * plane + at + 1);
            store(out + c * out_plane + at, before + (is_last ? sum : rectified(sum)));
        }
}

#define HIDDEN_OF(C, F) \
    NOINLINE void hidden_##C##_##F(const Networks *n, const float *x, i64 p, i32 columns, float *out, i64 q) { \
        hidden_pixels(C, F, n, x, p, columns, out, q); \
    }
#define RESIDUAL_OF(C) \
    NOINLINE void residual_##C(const float *w, const float *b, const float *const *rows, i64 p, i32 columns, i32 is_last, float *out, i64 q) { \
        residual_pixels(C, w, b, rows, p, columns, is_last, out, q); \
    }
HIDDEN_OF(1, 7)
HIDDEN_OF(3, 7)
HIDDEN_OF(4, 7)
HIDDEN_OF(1, 11)
HIDDEN_OF(3, 11)
HIDDEN_OF(4, 11)
RESIDUAL_OF(1)
RESIDUAL_OF(3)
RESIDUAL_OF(4)

static void hidden(const Networks *networks, const float *x, i64 plane, i32 columns, float *out, i64 out_plane) {
    switch (16 * networks->channels + networks->features) {
        case 16 + 7: hidden_1_7(networks, x, plane, columns, out, out_plane); break;
        case 16 + 11: hidden_1_11(networks, x, plane, columns, out, out_plane); break;
        case 48 + 7: hidden_3_7(networks, x, plane, columns, out, out_plane); break;
        case 48 + 11: hidden_3_11(networks, x, plane, columns, out, out_plane); break;
        case 64 + 7: hidden_4_7(networks, x, plane, columns, out, out_plane); break;
        case 64 + 11: hidden_4_11(networks, x, plane, columns, out, out_plane); break;
        default: hidden_any(networks, x, plane, columns, out, out_plane);
    }
}
static void residual(const Networks *networks, i32 r, const float *const *rows, i64 plane, i32 columns, float *out, i64 out_plane) {
    const float *weights = networks->residual[r], *bias = networks->residual_bias[r];
    const i32 is_last = r == RESIDUALS - 1;
    switch (networks->channels) {
        case 1: residual_1(weights, bias, rows, plane, columns, is_last, out, out_plane); break;
        case 3: residual_3(weights, bias, rows, plane, columns, is_last, out, out_plane); break;
        case 4: residual_4(weights, bias, rows, plane, columns, is_last, out, out_plane); break;
        default: residual_any(networks->channels, weights, bias, rows, plane, columns, is_last, out, out_plane);
    }
}

// ---- rows ----
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
    if (!rows->preset->smoothing) {
        plain_row(grid, row, left, right, out);
        return;
    }
    const float *taps = rows->networks.smoothing + level * (SMOOTHING_MAX + 1);
    smoothed_row(grid, row, left, right, taps, rows->wider, out);
}

// All grids from the coarsest to grid 1, at the resolution of the latter.
static int upsample(Rows *rows, const Region *regions, Planes *planes) {
    for (i32 level = LEVELS - 1; level >= 1; level--) {
        Planes finer;
        if (make_planes(&finer, regions[level], LEVELS - level)) return NO_MEMORY;
        for (i32 row = finer.region.top; row < finer.region.bottom; row++) {
            own_row(rows, level, row, finer.region.left, finer.region.right, plane_row(&finer, 0, row));
            if (level == LEVELS - 1) continue;
            doubled_row(planes, rows->networks.up + 4 * level, row, finer.region.left, finer.region.right, rows->between,
                        plane_row(&finer, 1, row), finer.plane);
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
    if (!rows->preset->kernels) return;
    const float *around[RING];
    for (i32 i = 0; i < RING; i++) around[i] = rows->symbols[slot(row + i - 2, RING)];
    kernels_row(&rows->networks, around, right - left, x + LEVELS * rows->plane, rows->plane);
}

// Symbols of a row of the finest grid, for the kernels: two columns more on each side.
static void symbols_row(Rows *rows, i32 row, i32 left, i32 right) {
    if (rows->preset->kernels) plain_row(&rows->grids[0], row, left - 2, right + 2, rows->symbols[slot(row, RING)]);
}

// A row of residual convolution r, from three rows of what it is applied to.
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
static int synthesize_region(const Grid *grids, const Tensors *tensors, const Preset *preset, i32 channels, Region region, i32 as_bytes, void *out) {
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
        hidden(&rows.networks, rows.features, rows.plane, wide.right - wide.left, rows.results[0][slot(row, 3)], rows.plane);
        // Each convolution follows one row behind the one before it.
        if (row - 1 <= wide.top) continue;
        residual_row(&rows, 0, row - 1, columns + 2, rows.results[1][slot(row - 1, 3)]);
        i32 done = row - 2;
        if (done < region.top) continue;
        residual_row(&rows, 1, done, columns, rows.pixels);
        i64 start = (i64)(done - region.top) * columns * channels;
        if (as_bytes) put_bytes(&rows, columns, (u8 *)out + start);
        else put_floats(&rows, columns, (float *)out + start);
    }
    return OK;
}

#endif
