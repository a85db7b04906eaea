// The networks of synthesis: docs/format.md section 9.7. A row of features -> a row of samples, in single precision.
#ifndef INR_NETWORKS_H
#define INR_NETWORKS_H

#include "simd.h"
#include "structure.h"

// In WebAssembly weights stand in memory as vectors: engines are slow to make these of one number.
#if defined(__wasm__)
enum { COPIES = LANES };
INLINE vf weight(const float *weights, i32 index) { return ((const vf *)weights)[index]; }
#else
enum { COPIES = 1 };
INLINE vf weight(const float *weights, i32 index) { return splat_float(weights[index]); }
#endif

typedef struct {
    float up[(LEVELS - 1) * 4], smoothing[LEVELS * (SMOOTHING + 1)];
    float *kernels;              // of each tap the weight of each kernel
    float *hidden;               // of each unit its bias, the features' weights, its weights in s2
    float *direct;               // of each channel its bias and the features' weights
    float *residual[RESIDUALS];  // of each input the weight of each channel
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
    networks->kernels = room((u64)(taps * KERNELS));
    networks->hidden = room((u64)(HIDDEN * stride));
    networks->direct = room((u64)(channels * (1 + features)));
    if (!networks->kernels || !networks->hidden || !networks->direct) return NO_MEMORY;
    for (u32 i = 0; i < tensors->sizes[UP]; i++) networks->up[i] = (float)of[UP][i] * unit;
    for (u32 i = 0; i < tensors->sizes[PF]; i++) networks->smoothing[i] = (float)of[PF][i] * unit;
    for (i32 kernel = 0; preset->has_kernels && kernel < KERNELS; kernel++)
        for (i32 tap = 0; tap < taps; tap++)
            put(networks->kernels, tap * KERNELS + kernel, (float)of[KF][kernel * taps + tap] * unit);
    for (i32 j = 0; j < HIDDEN; j++) {
        put(networks->hidden, j * stride, (float)of[S1B][j] * unit);
        for (i32 i = 0; i < features; i++)
            put(networks->hidden, j * stride + 1 + i, (float)of[S1][j * features + i] * unit);
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
        vf sums[KERNELS] = {{0}};
        const float *weights = networks->kernels;
        ROLLED
        for (i32 row = 0; row < KERNEL_SIDE; row++) {
            UNROLL
            for (i32 column = 0; column < KERNEL_SIDE; column++) {
                vf value = load(rows[row] + x + column);
                UNROLL
                for (i32 kernel = 0; kernel < KERNELS; kernel++)
                    sums[kernel] = multiply_add(value, weight(weights, column * KERNELS + kernel), sums[kernel]);
            }
            weights += COPIES * KERNEL_SIDE * KERNELS;
            WALK(weights)
        }
        UNROLL
        for (i32 kernel = 0; kernel < KERNELS; kernel++) store(out + kernel * plane + x, sums[kernel]);
    }
}

// Sums of a hidden unit, because each addition waits for the one before it; chosen in docs/experiments.md section 21.
enum { CHAINS = 3 };

// o = s2 relu(s1 x + s1b) + s2b + ss x along a row; C and F are constants where this is inlined.
INLINE void hidden_pixels(
    const i32 C, const i32 F, const Networks *networks, const float *x, i64 plane, i32 columns, float *out,
    i64 out_plane
) {
    for (i32 at = 0; at < columns; at += LANES) {
        vf inputs[F], outputs[C];
        UNROLL
        for (i32 i = 0; i < F; i++) inputs[i] = load(x + i * plane + at);
        const float *direct = networks->direct;
        UNROLL
        for (i32 c = 0; c < C; c++) {
            outputs[c] = weight(direct, c * (1 + F));
            UNROLL
            for (i32 i = 0; i < F; i++)
                outputs[c] = multiply_add(inputs[i], weight(direct, c * (1 + F) + 1 + i), outputs[c]);
        }
        const float *unit = networks->hidden;
        ROLLED
        for (i32 j = 0; j < HIDDEN; j++) {
            vf sums[CHAINS];
            sums[0] = weight(unit, 0);
            UNROLL
            for (i32 i = 0; i < CHAINS - 1; i++) sums[i + 1] = inputs[i] * weight(unit, 1 + i);
            UNROLL
            for (i32 i = CHAINS - 1; i < F; i++)
                sums[i % CHAINS] = multiply_add(inputs[i], weight(unit, 1 + i), sums[i % CHAINS]);
            UNROLL
            for (i32 i = 1; i < CHAINS; i++) sums[0] += sums[i];
            vf value = rectified(sums[0]);
            UNROLL
            for (i32 c = 0; c < C; c++) outputs[c] = multiply_add(value, weight(unit, 1 + F + c), outputs[c]);
            unit += COPIES * (1 + F + C);
            WALK(unit)
        }
        UNROLL
        for (i32 c = 0; c < C; c++) store(out + c * out_plane + at, outputs[c]);
    }
}

// o + relu(r p + rb) along a row, the last time without relu. rows: three of o; column 0 of a result is column 1 there.
INLINE void residual_pixels(
    const i32 C, const Networks *networks, i32 r, const float *const *rows, i64 plane, i32 columns, float *out,
    i64 out_plane
) {
    const float *weights = networks->residual[r], *bias = networks->residual_bias[r];
    const i32 is_last = r == RESIDUALS - 1;
    for (i32 at = 0; at < columns; at += LANES) {
        vf sums[C];
        UNROLL
        for (i32 c = 0; c < C; c++) sums[c] = weight(bias, c);
        const float *tap = weights;
        ROLLED
        for (i32 t = 0; t < 9; t++) {
            const float *values = rows[t / 3] + at + t % 3;
            UNROLL
            for (i32 d = 0; d < C; d++) {
                vf value = load(values + d * plane);
                UNROLL
                for (i32 c = 0; c < C; c++) sums[c] = multiply_add(value, weight(tap, d * C + c), sums[c]);
            }
            tap += COPIES * C * C;
            WALK(tap)
        }
        UNROLL
        for (i32 c = 0; c < C; c++) {
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
static void residual_any(
    const Networks *networks, i32 r, const float *const *rows, i64 plane, i32 columns, float *out, i64 out_plane
) {
    const float *weights = networks->residual[r], *bias = networks->residual_bias[r];
    const i32 C = networks->channels, is_last = r == RESIDUALS - 1;
    for (i32 at = 0; at < columns; at += LANES)
        for (i32 c = 0; c < C; c++) {
            vf sum = weight(bias, c);
            for (i32 t = 0; t < 9; t++)
                for (i32 d = 0; d < C; d++)
                    sum = multiply_add(
                        load(rows[t / 3] + d * plane + at + t % 3), weight(weights, (t * C + d) * C + c), sum
                    );
            vf before = load(rows[1] + c * plane + at + 1);
            store(out + c * out_plane + at, before + (is_last ? sum : rectified(sum)));
        }
}

#define HIDDEN_OF(C, F)                                                                                                \
    NOINLINE void hidden_##C##_##F(const Networks *n, const float *x, i64 p, i32 columns, float *out, i64 q) {         \
        hidden_pixels(C, F, n, x, p, columns, out, q);                                                                 \
    }
HIDDEN_OF(1, 7)
HIDDEN_OF(2, 7)
HIDDEN_OF(3, 7)
HIDDEN_OF(4, 7)
HIDDEN_OF(1, 11)
HIDDEN_OF(2, 11)
HIDDEN_OF(3, 11)
HIDDEN_OF(4, 11)
#define RESIDUAL_OF(C)                                                                                                 \
    NOINLINE void residual_##C(                                                                                        \
        const Networks *n, i32 r, const float *const *rows, i64 p, i32 columns, float *out, i64 q                      \
    ) {                                                                                                                \
        residual_pixels(C, n, r, rows, p, columns, out, q);                                                            \
    }
RESIDUAL_OF(1)
RESIDUAL_OF(2)
RESIDUAL_OF(3)
RESIDUAL_OF(4)

// Up to so many channels have functions of their own.
enum { QUICK_CHANNELS = 4 };

static void hidden(const Networks *networks, const float *x, i64 plane, i32 columns, float *out, i64 out_plane) {
    static void (*const QUICK[2][QUICK_CHANNELS])(const Networks *, const float *, i64, i32, float *, i64) = {
        {hidden_1_7, hidden_2_7, hidden_3_7, hidden_4_7},
        {hidden_1_11, hidden_2_11, hidden_3_11, hidden_4_11},
    };
    i32 channels = networks->channels;
    if (channels > QUICK_CHANNELS)
        hidden_any(networks, x, plane, columns, out, out_plane);
    else
        QUICK[networks->features > LEVELS][channels - 1](networks, x, plane, columns, out, out_plane);
}

// Residual convolution r along a row. rows: three of its input; column 0 of the result is column 1 there.
static void
residual(const Networks *networks, i32 r, const float *const *rows, i64 plane, i32 columns, float *out, i64 out_plane) {
    static void (*const QUICK[QUICK_CHANNELS])(const Networks *, i32, const float *const *, i64, i32, float *, i64) = {
        residual_1,
        residual_2,
        residual_3,
        residual_4,
    };
    i32 channels = networks->channels;
    if (channels > QUICK_CHANNELS)
        residual_any(networks, r, rows, plane, columns, out, out_plane);
    else
        QUICK[channels - 1](networks, r, rows, plane, columns, out, out_plane);
}

#endif
