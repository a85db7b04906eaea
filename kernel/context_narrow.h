// The context model in 16-bit products: contexts are at most 4,095, and the weights that a fit gives far below 2^15.
//
// Hidden units, up to 2^24, are taken apart into their lower 15 bits and what is above, which is zero nearly
// everywhere. `is_narrow_exact` tells whether no sum can leave 32 bits.
#ifndef INR_CONTEXT_NARROW_H
#define INR_CONTEXT_NARROW_H

#include "contexts.h"

enum {
    UNIT_VECTORS = UNITS / LANES,
    OUTPUT_VECTORS = (OUTPUTS + LANES - 1) / LANES,
    PACKED_VECTORS = UNIT_VECTORS / 2,  // of hidden units as 16-bit numbers
    // Contexts are read in pairs of neighbours in a row; a superfluous one has weight 0.
    OWN_PAIRS = 7,
    SQUARE_PAIRS = 6,  // of 3x3 cells
    FAR_PAIRS = SQUARE_PAIRS + 2,
    UNIT_PAIRS = UNITS / 2,
    LOW_BITS = 15,
};

// The left one of each pair.
static const signed char PAIRS[OWN_PAIRS][2] = {
    {-3, 0}, {-2, -1}, {-2, 1}, {-1, -2}, {-1, 0}, {0, -3}, {0, -1},
};

typedef struct {
    vs own[OWN_PAIRS][OUTPUT_VECTORS], next[SQUARE_PAIRS][OUTPUT_VECTORS], far[FAR_PAIRS][OUTPUT_VECTORS];
    vs second[UNIT_PAIRS][UNIT_VECTORS], third[2][PACKED_VECTORS];
    vi first_bias[LEVELS][OUTPUT_VECTORS], second_bias[UNIT_VECTORS];
    i32 distances[OWN_PAIRS];  // of the pairs from their symbol, in the present grid's memory
} Narrow;

// Whether this way is exact: weights within 16 bits; in the first layer, sums of |weight| times 4,095 below
// 1.5 * 2^30, so that a bias and the share of the upper bits of hidden units still fit; elsewhere sums below 2^16.
static i32 is_narrow_exact(const Tensors *tensors, i32 inputs) {
    for (i32 output = 0; output < OUTPUTS; output++) {
        const i32 *first = first_row(tensors, output, inputs), *hidden = hidden_row(tensors, output);
        i64 first_sum = 0, hidden_sum = 0;
        for (i32 i = 0; i < inputs; i++) {
            if (magnitude(first[i]) >= 1 << 15) return 0;
            first_sum += magnitude(first[i]);
        }
        for (i32 i = 0; i < UNITS; i++) {
            if (magnitude(hidden[i]) >= 1 << 15) return 0;
            hidden_sum += magnitude(hidden[i]);
        }
        if (first_sum * SYMBOL_MAX >= 3ll << 29 || hidden_sum >= 1 << 16) return 0;
    }
    return 1;
}

static void put_pair(vs *vectors, i32 output, i32 left, i32 right) {
    vectors[output / LANES][2 * (output % LANES)] = (i16)left;
    vectors[output / LANES][2 * (output % LANES) + 1] = (i16)right;
}

static void put_square(vs (*pairs)[OUTPUT_VECTORS], i32 output, const i32 *weights) {
    for (i32 row = 0; row < 3; row++) {
        put_pair(pairs[2 * row], output, weights[3 * row], weights[3 * row + 1]);
        put_pair(pairs[2 * row + 1], output, weights[3 * row + 2], 0);
    }
}

static void put_own(Narrow *model, i32 output, const i32 *weights) {
    for (i32 pair = 0; pair < OWN_PAIRS; pair++) {
        i32 both[2] = {0, 0};
        for (i32 i = 0; i < OWN; i++)
            for (i32 side = 0; side < 2; side++)
                if (NEIGHBOURS[i][0] == PAIRS[pair][0] && NEIGHBOURS[i][1] == PAIRS[pair][1] + side)
                    both[side] = weights[i];
        put_pair(model->own[pair], output, both[0], both[1]);
    }
}

static void put_hidden(Narrow *model, const Tensors *tensors) {
    for (i32 unit = 0; unit < UNITS; unit++) {
        const i32 *row = hidden_row(tensors, unit);
        for (i32 pair = 0; pair < UNIT_PAIRS; pair++)
            put_pair(model->second[pair], unit, row[2 * pair], row[2 * pair + 1]);
        model->second_bias[unit / LANES][unit % LANES] = tensors->of[A2B][unit];
    }
    for (i32 output = 0; output < 2; output++)
        for (i32 unit = 0; unit < UNITS; unit++)
            model->third[output][unit / (2 * LANES)][unit % (2 * LANES)] =
                (i16)hidden_row(tensors, UNITS + output)[unit];
}

static void make_narrow(Narrow *model, const Tensors *tensors, i32 cross) {
    *model = (Narrow){0};
    for (i32 output = 0; output < OUTPUTS; output++) {
        const i32 *weights = first_row(tensors, output, OWN + cross);
        put_own(model, output, weights);
        put_square(model->next, output, weights + OWN);
        const i32 *far = weights + OWN + 9;
        if (cross == ALL_CROSS) {
            put_square(model->far, output, far);
            put_pair(model->far[SQUARE_PAIRS], output, far[9], far[10]);
            put_pair(model->far[SQUARE_PAIRS + 1], output, far[11], far[12]);
        } else {
            put_pair(model->far[SQUARE_PAIRS], output, far[0], 0);
        }
        for (i32 level = 0; level < LEVELS; level++)
            model->first_bias[level][output / LANES][output % LANES] = first_bias(tensors, output, level);
    }
    put_hidden(model, tensors);
}

INLINE void add_square(vi *sums, const vs (*weights)[OUTPUT_VECTORS], const i16 *cell, i32 pitch) {
    UNROLL
    for (i32 pair = 0; pair < SQUARE_PAIRS; pair++) {
        vs contexts = splat_pair(cell + (pair / 2 - 1) * pitch + (pair & 1 ? 1 : -1));
        UNROLL
        for (i32 v = 0; v < OUTPUT_VECTORS; v++) sums[v] += dot(contexts, weights[pair][v]);
    }
}

// Share of the grids beyond the next one, biases included. far: the cell of the second coarser grid; beyond: one symbol
// of each grid that gives one.
INLINE void far_narrow(
    const Narrow *model, i32 has_all_contexts, i32 level, const i16 *far, i32 pitch, const i16 *beyond, vi *result
) {
    vi sums[OUTPUT_VECTORS];
    UNROLL
    for (i32 v = 0; v < OUTPUT_VECTORS; v++) sums[v] = model->first_bias[level][v];
    if (has_all_contexts) add_square(sums, model->far, far, pitch);
    for (i32 pair = 0; pair < FAR_PAIRS - SQUARE_PAIRS; pair++) {
        vs contexts = splat_pair(beyond + 2 * pair);
        UNROLL
        for (i32 v = 0; v < OUTPUT_VECTORS; v++) sums[v] += dot(contexts, model->far[SQUARE_PAIRS + pair][v]);
    }
    UNROLL
    for (i32 v = 0; v < OUTPUT_VECTORS; v++) result[v] = sums[v];
}

INLINE void next_narrow(const Narrow *model, const i16 *cell, i32 pitch, const vi *far, vi *result) {
    vi sums[OUTPUT_VECTORS];
    UNROLL
    for (i32 v = 0; v < OUTPUT_VECTORS; v++) sums[v] = far[v];
    add_square(sums, model->next, cell, pitch);
    UNROLL
    for (i32 v = 0; v < OUTPUT_VECTORS; v++) result[v] = sums[v];
}

INLINE void add_second(const Narrow *model, const vi *units, vi *sums) {
    i16 packed[UNITS] __attribute__((aligned(16)));
    UNROLL
    for (i32 p = 0; p < PACKED_VECTORS; p++) ((vs *)packed)[p] = pack(units[2 * p], units[2 * p + 1]);
    const vs *weights = model->second[0];
    ROLLED
    for (i32 pair = 0; pair < UNIT_PAIRS; pair++) {
        vs both = splat_pair(packed + 2 * pair);
        UNROLL
        for (i32 v = 0; v < UNIT_VECTORS; v++) sums[v] += dot(both, weights[v]);
        weights += UNIT_VECTORS;
        WALK(weights)
    }
}

INLINE i32 third_layer(const Narrow *model, i32 output, const vi *units) {
    vi sums = {0};
    UNROLL
    for (i32 p = 0; p < PACKED_VECTORS; p++) sums += dot(pack(units[2 * p], units[2 * p + 1]), model->third[output][p]);
    return sum_of(sums);
}

// Clips hidden units to 0 .. 2^24 and takes them apart; whether any has upper bits.
INLINE i32 take_apart(const vi *sums, vi *low, vi *high) {
    vi seen = {0};
    UNROLL
    for (i32 v = 0; v < UNIT_VECTORS; v++) {
        vi units = at_most(positive(sums[v]), HIDDEN_MAX);
        low[v] = units & ((1 << LOW_BITS) - 1);
        high[v] = units >> LOW_BITS;
        seen |= high[v];
    }
    return any(seen);
}

INLINE Prediction predict_narrow(const Narrow *model, const i16 *symbol, const vi *next) {
    vi first[OUTPUT_VECTORS];
    UNROLL
    for (i32 v = 0; v < OUTPUT_VECTORS; v++) first[v] = next[v];
    BARRIER
    const vs *weights = model->own[0];
    ROLLED
    for (i32 pair = 0; pair < OWN_PAIRS; pair++) {
        vs contexts = splat_pair(symbol + model->distances[pair]);
        UNROLL
        for (i32 v = 0; v < OUTPUT_VECTORS; v++) first[v] += dot(contexts, weights[v]);
        weights += OUTPUT_VECTORS;
        WALK(weights)
    }
    vi low[UNIT_VECTORS], high[UNIT_VECTORS], second[UNIT_VECTORS] = {0};
    i32 has_high = take_apart(first, low, high);
    add_second(model, low, second);
    // floor((a2 (low + 2^15 high)) / 2^12) = floor((a2 low) / 2^12) + 8 a2 high
    UNROLL
    for (i32 v = 0; v < UNIT_VECTORS; v++) second[v] = (second[v] >> 12) + model->second_bias[v];
    if (__builtin_expect(has_high, 0)) {
        vi upper[UNIT_VECTORS] = {0};
        add_second(model, high, upper);
        UNROLL
        for (i32 v = 0; v < UNIT_VECTORS; v++) second[v] += upper[v] * 8;
    }
    has_high = take_apart(second, low, high);
    i32 mean = first[UNITS / LANES][UNITS % LANES] + (third_layer(model, 0, low) >> 12);
    i32 scale = first[(UNITS + 1) / LANES][(UNITS + 1) % LANES] + (third_layer(model, 1, low) >> 12);
    if (__builtin_expect(has_high, 0)) {
        mean += third_layer(model, 0, high) * 8;
        scale += third_layer(model, 1, high) * 8;
    }
    return prediction((mean + (1 << 7)) >> 8, (scale + (1 << 8)) >> 9);
}

#endif
