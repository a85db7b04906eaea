// What both ways to compute the context model have in common: docs/format.md section 9.5.
//
// A symbol of grid k has contexts in its own grid and in grids k + 1 (next), k + 2 (far), k + 3 … (beyond). A cell of
// grid k + 1 serves four symbols, a cell of grid k + 2 four cells of grid k + 1: the sum of each is computed once.
#ifndef INR_CONTEXTS_H
#define INR_CONTEXTS_H

#include "simd.h"
#include "structure.h"

enum { HIDDEN_MAX = 1 << 24 };

// Rows down and columns right of a symbol: section 9.5, 1.
static const signed char NEIGHBOURS[OWN][2] = {
    {0, -1}, {-1, 0}, {-1, -1}, {-1, 1}, {0, -2}, {-2, 0}, {-1, -2}, {-2, 1}, {-2, -1}, {0, -3}, {-3, 0}, {-2, 2},
};
typedef struct {
    i32 mean, row;  // of the frequency tables
} Prediction;

INLINE Prediction prediction(i32 mean_sixteenths, i32 log_scale) {
    i32 n = clip(mean_sixteenths, -16 * SYMBOL_MAX, 16 * SYMBOL_MAX), mean = (n + 8) >> 4;
    return (Prediction){mean, (clip(log_scale, -32, 40) + 32) * FRACTIONS + n - 16 * mean + 8};
}

// Row of the first layer, inputs in the order of section 9.5; the two outputs' direct weights count as rows behind.
INLINE const i32 *first_row(const Tensors *tensors, i32 output, i32 inputs) {
    return output < UNITS ? tensors->of[A1] + output * inputs : tensors->of[AS] + (output - UNITS) * inputs;
}
INLINE i32 first_bias(const Tensors *tensors, i32 output, i32 level) {
    return output < UNITS ? tensors->of[A1B][output] : tensors->of[A3B][(output - UNITS) * LEVELS + level];
}
INLINE const i32 *hidden_row(const Tensors *tensors, i32 output) {
    return output < UNITS ? tensors->of[A2] + output * UNITS : tensors->of[A3] + (output - UNITS) * UNITS;
}

#endif
