// The context model in float64, which holds every number that the format allows exactly; for weights beyond 16 bits.
#ifndef INR_CONTEXT_WIDE_H
#define INR_CONTEXT_WIDE_H

#include "contexts.h"

typedef struct {
    double own[OWN][OUTPUTS], cross[ALL_CROSS][OUTPUTS], second[UNITS][UNITS], third[2][UNITS];
    double first_bias[LEVELS][OUTPUTS], second_bias[UNITS];
} Wide;

static void make_wide(Wide *model, const Tensors *tensors, i32 cross) {
    for (i32 output = 0; output < OUTPUTS; output++) {
        const i32 *weights = first_row(tensors, output, OWN + cross);
        double unit = output < UNITS ? 1.0 : 4096.0;
        for (i32 i = 0; i < OWN; i++) model->own[i][output] = weights[i] * unit;
        for (i32 i = 0; i < cross; i++) model->cross[i][output] = weights[OWN + i] * unit;
        for (i32 level = 0; level < LEVELS; level++)
            model->first_bias[level][output] = first_bias(tensors, output, level) * unit;
    }
    for (i32 unit = 0; unit < UNITS; unit++) {
        for (i32 i = 0; i < UNITS; i++) model->second[i][unit] = hidden_row(tensors, unit)[i];
        for (i32 output = 0; output < 2; output++)
            model->third[output][unit] = hidden_row(tensors, UNITS + output)[unit];
        model->second_bias[unit] = tensors->of[A2B][unit] * 4096.0;
    }
}

INLINE void add_wide(double *sums, double context, const double *weights) {
    for (i32 output = 0; output < OUTPUTS; output++) sums[output] += context * weights[output];
}

static void far_wide(
    const Wide *model, i32 has_all_contexts, i32 level, const i16 *far, i32 pitch, const i16 *beyond, double *sums
) {
    i32 input = 9;
    for (i32 output = 0; output < OUTPUTS; output++) sums[output] = model->first_bias[level][output];
    if (!has_all_contexts) {
        add_wide(sums, beyond[0], model->cross[input]);
        return;
    }
    for (i32 i = 0; i < 9; i++) add_wide(sums, far[(i / 3 - 1) * pitch + i % 3 - 1], model->cross[input++]);
    for (i32 i = 0; i < 4; i++) add_wide(sums, beyond[i], model->cross[input++]);
}

static void next_wide(const Wide *model, const i16 *cell, i32 pitch, const double *far, double *sums) {
    for (i32 output = 0; output < OUTPUTS; output++) sums[output] = far[output];
    for (i32 i = 0; i < 9; i++) add_wide(sums, cell[(i / 3 - 1) * pitch + i % 3 - 1], model->cross[i]);
}

INLINE double clipped(double value, double low, double high) { return value < low ? low : value > high ? high : value; }

static Prediction predict_wide(const Wide *model, const i16 *symbol, i32 pitch, const double *next) {
    double first[OUTPUTS], second[UNITS];
    for (i32 output = 0; output < OUTPUTS; output++) first[output] = next[output];
    for (i32 i = 0; i < OWN; i++) add_wide(first, symbol[NEIGHBOURS[i][0] * pitch + NEIGHBOURS[i][1]], model->own[i]);
    for (i32 unit = 0; unit < UNITS; unit++) second[unit] = model->second_bias[unit];
    for (i32 i = 0; i < UNITS; i++) {
        double value = clipped(first[i], 0, HIDDEN_MAX);
        for (i32 unit = 0; unit < UNITS; unit++) second[unit] += value * model->second[i][unit];
    }
    double mean = first[UNITS], scale = first[UNITS + 1];
    for (i32 unit = 0; unit < UNITS; unit++) {
        double value = clipped(__builtin_floor(second[unit] * (1.0 / 4096)), 0, HIDDEN_MAX);
        mean += value * model->third[0][unit];
        scale += value * model->third[1][unit];
    }
    mean = __builtin_floor((mean + (1 << 19)) * (1.0 / (1 << 20)));
    scale = __builtin_floor((scale + (1 << 20)) * (1.0 / (1 << 21)));
    // Clipped further out than `prediction` does, so that an i32 holds them.
    return prediction((i32)clipped(mean, -1e6, 1e6), (i32)clipped(scale, -1e6, 1e6));
}

#endif
