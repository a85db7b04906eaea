// Presets and tensors: docs/format.md section 9.2.
#ifndef INR_STRUCTURE_H
#define INR_STRUCTURE_H

#include "range_coder.h"

enum {
    LEVELS = 7,
    OWN = 12,             // contexts of a symbol in its own grid
    CROSS = 10,           // in the two coarser ones
    ALL_CROSS = 22,       // in all coarser ones
    UNITS = 24,           // of a layer of the context model
    OUTPUTS = UNITS + 2,  // of its first layer, with the direct way to the two outputs behind the units
    HIDDEN = 48,          // units of the synthesis network
    RESIDUALS = 2,        // residual convolutions
    KERNELS = 4,
    KERNEL_SIDE = 5,
    SMOOTHING = 3,
    CHANNELS_MAX = 64,
    SIDE_LIMIT = 4096,  // of a pyramid in pixels
    SYMBOL_MAX = 4095,
};

typedef struct {
    i32 has_all_contexts;  // 3x3 of the second coarser grid and one of each beyond; otherwise one of the second
    i32 has_smoothing;     // a filter of each grid with SMOOTHING taps on each side
    i32 has_kernels;       // KERNELS 5x5 kernels of the finest grid
    i32 synthesis_bits;    // behind the binary point of the synthesis network's integers
} Preset;

static const Preset PRESETS[] = {
    {.synthesis_bits = 14},
    {.has_all_contexts = 1, .has_smoothing = 1, .has_kernels = 1, .synthesis_bits = 18},
};
enum { PRESET_COUNT = sizeof(PRESETS) / sizeof(*PRESETS) };

// In the order of the stream.
enum Tensor { A1, A1B, A2, A2B, A3, A3B, AS, UP, PF, KF, S1, S1B, S2, S2B, SS, R0, R0B, R1, R1B, TENSORS };

INLINE i32 cross_of(const Preset *preset) { return preset->has_all_contexts ? ALL_CROSS : CROSS; }
INLINE i32 features_of(const Preset *preset) { return LEVELS + (preset->has_kernels ? KERNELS : 0); }

static u32 tensor_size(const Preset *preset, i32 channels, enum Tensor tensor) {
    i32 inputs = OWN + cross_of(preset), features = features_of(preset);
    const i32 sizes[TENSORS] = {
        [A1] = UNITS * inputs,
        [A1B] = UNITS,
        [A2] = UNITS * UNITS,
        [A2B] = UNITS,
        [A3] = 2 * UNITS,
        [A3B] = 2 * LEVELS,
        [AS] = 2 * inputs,
        [UP] = (LEVELS - 1) * 4,
        [PF] = preset->has_smoothing ? LEVELS * (SMOOTHING + 1) : 0,
        [KF] = preset->has_kernels ? KERNELS * KERNEL_SIDE * KERNEL_SIDE : 0,
        [S1] = HIDDEN * features,
        [S1B] = HIDDEN,
        [S2] = channels * HIDDEN,
        [S2B] = channels,
        [SS] = channels * features,
        [R0] = 9 * channels * channels,
        [R0B] = channels,
        [R1] = 9 * channels * channels,
        [R1B] = channels,
    };
    return (u32)sizes[tensor];
}

typedef struct {
    i32 *of[TENSORS];  // integers of each, one behind another
    u32 sizes[TENSORS];
    u32 count;  // of all integers
} Tensors;

static void lay_out(Tensors *tensors, const Preset *preset, i32 channels) {
    tensors->count = 0;
    for (i32 tensor = 0; tensor < TENSORS; tensor++) {
        tensors->sizes[tensor] = tensor_size(preset, channels, (enum Tensor)tensor);
        tensors->count += tensors->sizes[tensor];
    }
}

static void place(Tensors *tensors, i32 *values) {
    for (i32 tensor = 0; tensor < TENSORS; tensor++) {
        tensors->of[tensor] = values;
        values += tensors->sizes[tensor];
    }
}

INLINE i32 limit_of(enum Tensor tensor) { return tensor <= AS ? 1 << 20 : 1 << 24; }

// A table is paid for when it is first used: what its values take, as `Decoder.decode` of the package counts it.
enum { VALUES_PER_SYMBOL = 4 };
typedef struct {
    u16 magnitudes[SCALES];  // a bit for each laplace(scale, magnitude) that was used
} Used;

static int pay_for_laplace(Coder *coder, Used *used, u32 scale, u32 magnitude_bits) {
    u16 bit = (u16)(1u << magnitude_bits);
    if (used->magnitudes[scale] & bit) return OK;
    used->magnitudes[scale] |= bit;
    return charge(coder, ((2u << magnitude_bits) - 1) / VALUES_PER_SYMBOL);
}

// Section 9.4, steps 1 to 4: adds the coded differences to the base weights.
static int take_tensors(Coder *coder, Tensors *tensors) {
    Used used = {{0}};
    i32 scale = 24;
    if (charge(coder, EQUAL_MAX / VALUES_PER_SYMBOL)) return OVER_BUDGET;
    for (i32 tensor = 0; tensor < TENSORS; tensor++) {
        u32 size = tensors->sizes[tensor];
        if (!size) continue;
        if (charge(coder, 1)) return OVER_BUDGET;
        i32 magnitude_bits = take(coder, tables.sixteen, EQUAL_MAX);
        if (magnitude_bits < 0) return BAD_STREAM;
        if (!magnitude_bits) continue;
        if (charge(coder, 2) || pay_for_laplace(coder, &used, 22, 8)) return OVER_BUDGET;
        i32 exponent = take(coder, tables.sixteen, EQUAL_MAX);
        if (exponent < 0) return BAD_STREAM;
        i32 difference = take(coder, tables.scale_difference, SCALE_DIFFERENCES);
        if (difference < 0) return BAD_STREAM;
        scale += difference - SCALE_DIFFERENCES / 2;
        if (scale < 0 || scale >= SCALES) return BAD_SCALE;
        if (pay_for_laplace(coder, &used, (u32)scale, (u32)magnitude_bits) || charge(coder, size)) return OVER_BUDGET;
        make_laplace((u32)scale, (u32)magnitude_bits, tables.laplace);
        i32 zero = (1 << magnitude_bits) - 1, limit = limit_of((enum Tensor)tensor);
        for (u32 i = 0; i < size; i++) {
            i32 symbol = take(coder, tables.laplace, 2 * (u32)zero + 1);
            if (symbol < 0) return BAD_STREAM;
            i32 value = tensors->of[tensor][i] + (symbol - zero) * (1 << exponent);
            if (magnitude(value) >= limit) return BAD_TENSOR;
            tensors->of[tensor][i] = value;
        }
    }
    return OK;
}

#endif
