// The autoregressive context model: docs/format.md section 9.5. Contexts -> mean and row of the frequency tables.
//
// Two ways to the same integers. The narrow one multiplies 16-bit numbers: contexts are at most 4,095, and the weights
// that a fit gives are far below 2^15. Hidden units, up to 2^24, are taken apart into their lower 15 bits and what is
// above, which is zero nearly everywhere. `fits` tells whether no sum can leave 32 bits. The wide one computes in
// float64, which holds every number that the format allows exactly.
//
// What symbols have in common is computed once: the contexts of the next grid for the four symbols of one of its cells
// ("next" below), those of all grids beyond it for the four cells of the grid behind it ("far").
#ifndef INR_CONTEXT_MODEL_H
#define INR_CONTEXT_MODEL_H

#include "simd.h"
#include "structure.h"

enum {
    UNIT_VECTORS = UNITS / LANES,
    OUTPUT_VECTORS = (OUTPUTS + LANES - 1) / LANES,
    PACKED_VECTORS = (UNIT_VECTORS + 1) / 2,  // of hidden units as 16-bit numbers
    // Contexts are read in pairs of neighbours in a row; a superfluous one has weight 0.
    OWN_PAIRS = 7,
    SQUARE_PAIRS = 6,  // of 3x3 cells
    FAR_PAIRS = SQUARE_PAIRS + 2,
    UNIT_PAIRS = UNITS / 2,
    HIDDEN_MAX = 1 << 24,
    LOW_BITS = 15,
};

// Rows down and columns right of a symbol: section 9.5, 1.
static const signed char NEIGHBOURS[OWN][2] = {
    {0, -1}, {-1, 0}, {-1, -1}, {-1, 1}, {0, -2}, {-2, 0}, {-1, -2}, {-2, 1}, {-2, -1}, {0, -3}, {-3, 0}, {-2, 2},
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
    u8 pair_at[UNIT_PAIRS];    // which pair of packed units belongs to a row of `second`
} Narrow;

typedef struct {
    double own[OWN][OUTPUTS], cross[CROSS_MAX][OUTPUTS], second[UNITS][UNITS], third[2][UNITS];
    double first_bias[LEVELS][OUTPUTS], second_bias[UNITS];
} Wide;

typedef struct {
    Narrow narrow;
    Wide wide;
    i32 is_narrow;
    i32 has_square_far;  // 3x3 contexts of the second coarser grid and one of each beyond; otherwise one of the second
} ContextModel;

typedef struct {
    i32 mean, row;
} Prediction;

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

// Whether the narrow way is exact: weights within 16 bits; in the first layer, sums of |weight| times 4,095 below
// 1.5 * 2^30, so that a bias and the share of the upper bits of hidden units still fit; elsewhere sums below 2^16.
static i32 fits(const Tensors *tensors, i32 inputs) {
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

// ---- the narrow way ----
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
                if (NEIGHBOURS[i][0] == PAIRS[pair][0] && NEIGHBOURS[i][1] == PAIRS[pair][1] + side) both[side] = weights[i];
        put_pair(model->own[pair], output, both[0], both[1]);
    }
}

// Which unit stands where behind `pack`; beyond the last one, UNITS.
static void packed_order(i16 *order) {
    for (i32 p = 0; p < PACKED_VECTORS; p++) {
        vi a = {0}, b = {0};
        for (i32 lane = 0; lane < LANES; lane++) {
            a[lane] = 2 * p * LANES + lane;
            b[lane] = least(UNITS, (2 * p + 1) * LANES + lane);
        }
        vs both = pack(a, b);
        for (i32 i = 0; i < 2 * LANES; i++) order[2 * LANES * p + i] = both[i];
    }
}

static void put_hidden(Narrow *model, const Tensors *tensors) {
    i16 order[2 * LANES * PACKED_VECTORS];
    packed_order(order);
    i32 found = 0;
    for (i32 pair = 0; pair < LANES * PACKED_VECTORS; pair++) {
        i32 left = order[2 * pair], right = order[2 * pair + 1];
        if (left >= UNITS) continue;
        for (i32 unit = 0; unit < UNITS; unit++) {
            const i32 *row = hidden_row(tensors, unit);
            put_pair(model->second[found], unit, row[left], row[right]);
        }
        model->pair_at[found++] = (u8)pair;
    }
    for (i32 output = 0; output < 2; output++)
        for (i32 i = 0; i < 2 * LANES * PACKED_VECTORS; i++) {
            i32 weight = order[i] < UNITS ? hidden_row(tensors, UNITS + output)[order[i]] : 0;
            model->third[output][i / (2 * LANES)][i % (2 * LANES)] = (i16)weight;
        }
    for (i32 unit = 0; unit < UNITS; unit++) model->second_bias[unit / LANES][unit % LANES] = tensors->of[A2B][unit];
}

static void make_narrow(Narrow *model, const Tensors *tensors, i32 cross) {
    *model = (Narrow){0};
    for (i32 output = 0; output < OUTPUTS; output++) {
        const i32 *weights = first_row(tensors, output, OWN + cross);
        put_own(model, output, weights);
        put_square(model->next, output, weights + OWN);
        const i32 *far = weights + OWN + 9;
        if (cross == CROSS_MAX) {
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
    UNROLL for (i32 pair = 0; pair < SQUARE_PAIRS; pair++) {
        vs contexts = splat_pair(cell + (pair / 2 - 1) * pitch + (pair & 1 ? 1 : -1));
        UNROLL for (i32 v = 0; v < OUTPUT_VECTORS; v++) sums[v] += dot(contexts, weights[pair][v]);
    }
}

// Share of the grids beyond the next one, biases included. far: the cell of the second coarser grid; beyond: one symbol
// of each grid that gives one.
INLINE void far_narrow(const ContextModel *model, i32 level, const i16 *far, i32 pitch, const i16 *beyond, vi *result) {
    const Narrow *narrow = &model->narrow;
    vi sums[OUTPUT_VECTORS];
    UNROLL for (i32 v = 0; v < OUTPUT_VECTORS; v++) sums[v] = narrow->first_bias[level][v];
    if (model->has_square_far) add_square(sums, narrow->far, far, pitch);
    for (i32 pair = 0; pair < FAR_PAIRS - SQUARE_PAIRS; pair++) {
        vs contexts = splat_pair(beyond + 2 * pair);
        UNROLL for (i32 v = 0; v < OUTPUT_VECTORS; v++) sums[v] += dot(contexts, narrow->far[SQUARE_PAIRS + pair][v]);
    }
    UNROLL for (i32 v = 0; v < OUTPUT_VECTORS; v++) result[v] = sums[v];
}

INLINE void next_narrow(const ContextModel *model, const i16 *cell, i32 pitch, const vi *far, vi *result) {
    vi sums[OUTPUT_VECTORS];
    UNROLL for (i32 v = 0; v < OUTPUT_VECTORS; v++) sums[v] = far[v];
    add_square(sums, model->narrow.next, cell, pitch);
    UNROLL for (i32 v = 0; v < OUTPUT_VECTORS; v++) result[v] = sums[v];
}

INLINE void add_second(const Narrow *model, const vi *units, vi *sums) {
    i16 packed[2 * LANES * PACKED_VECTORS] __attribute__((aligned(VECTOR_BYTES_TOKEN)));
    UNROLL for (i32 p = 0; p < PACKED_VECTORS; p++)
        ((vs *)packed)[p] = pack(units[2 * p], 2 * p + 1 < UNIT_VECTORS ? units[2 * p + 1] : (vi){0});
    const vs *weights = model->second[0];
    LOOP for (i32 pair = 0; pair < UNIT_PAIRS; pair++) {
        // With vectors of 16 bytes the packed units are in order.
        vs both = splat_pair(packed + 2 * (LANES == 4 ? pair : model->pair_at[pair]));
        UNROLL for (i32 v = 0; v < UNIT_VECTORS; v++) sums[v] += dot(both, weights[v]);
        weights += UNIT_VECTORS;
        WALK(weights)
    }
}

INLINE i32 third_layer(const Narrow *model, i32 output, const vi *units) {
    vi sums = {0};
    UNROLL for (i32 p = 0; p < PACKED_VECTORS; p++) {
        vs both = pack(units[2 * p], 2 * p + 1 < UNIT_VECTORS ? units[2 * p + 1] : (vi){0});
        sums += dot(both, model->third[output][p]);
    }
    return sum_of(sums);
}

// Clips hidden units to 0 .. 2^24 and takes them apart; whether any has upper bits.
INLINE i32 take_apart(const vi *sums, vi *low, vi *high) {
    vi seen = {0};
    UNROLL for (i32 v = 0; v < UNIT_VECTORS; v++) {
        vi units = at_most(positive(sums[v]), HIDDEN_MAX);
        low[v] = units & ((1 << LOW_BITS) - 1);
        high[v] = units >> LOW_BITS;
        seen |= high[v];
    }
    return any(seen);
}

INLINE Prediction prediction(i32 mean_sixteenths, i32 log_scale) {
    i32 n = clip(mean_sixteenths, -16 * SYMBOL_MAX, 16 * SYMBOL_MAX), mean = (n + 8) >> 4;
    return (Prediction){mean, (clip(log_scale, -32, 40) + 32) * FRACTIONS + n - 16 * mean + 8};
}

INLINE Prediction predict_narrow(const Narrow *model, const i16 *symbol, i32 pitch, const vi *next) {
    vi first[OUTPUT_VECTORS];
    UNROLL for (i32 v = 0; v < OUTPUT_VECTORS; v++) first[v] = next[v];
    BARRIER
#if defined(__wasm__)
    const vs *weights = model->own[0];
    ROLLED for (i32 pair = 0; pair < OWN_PAIRS; pair++) {
        vs contexts = splat_pair(symbol + model->distances[pair]);
        UNROLL for (i32 v = 0; v < OUTPUT_VECTORS; v++) first[v] += dot(contexts, weights[v]);
        weights += OUTPUT_VECTORS;
        WALK(weights)
    }
    (void)pitch;
#else
    UNROLL for (i32 pair = 0; pair < OWN_PAIRS; pair++) {
        vs contexts = splat_pair(symbol + PAIRS[pair][0] * pitch + PAIRS[pair][1]);
        UNROLL for (i32 v = 0; v < OUTPUT_VECTORS; v++) first[v] += dot(contexts, model->own[pair][v]);
    }
#endif
    vi low[UNIT_VECTORS], high[UNIT_VECTORS], second[UNIT_VECTORS] = {0};
    i32 has_high = take_apart(first, low, high);
    add_second(model, low, second);
    // floor((a2 (low + 2^15 high)) / 2^12) = floor((a2 low) / 2^12) + 8 a2 high
    UNROLL for (i32 v = 0; v < UNIT_VECTORS; v++) second[v] = (second[v] >> 12) + model->second_bias[v];
    if (__builtin_expect(has_high, 0)) {
        vi upper[UNIT_VECTORS] = {0};
        add_second(model, high, upper);
        UNROLL for (i32 v = 0; v < UNIT_VECTORS; v++) second[v] += upper[v] * 8;
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

// ---- the wide way ----
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
        for (i32 output = 0; output < 2; output++) model->third[output][unit] = hidden_row(tensors, UNITS + output)[unit];
        model->second_bias[unit] = tensors->of[A2B][unit] * 4096.0;
    }
}

INLINE void add_wide(double *sums, double context, const double *weights) {
    for (i32 output = 0; output < OUTPUTS; output++) sums[output] += context * weights[output];
}

static void far_wide(const ContextModel *model, i32 level, const i16 *far, i32 pitch, const i16 *beyond, double *sums) {
    const Wide *wide = &model->wide;
    i32 input = 9;
    for (i32 output = 0; output < OUTPUTS; output++) sums[output] = wide->first_bias[level][output];
    if (!model->has_square_far) {
        add_wide(sums, beyond[0], wide->cross[input]);
        return;
    }
    for (i32 i = 0; i < 9; i++) add_wide(sums, far[(i / 3 - 1) * pitch + i % 3 - 1], wide->cross[input++]);
    for (i32 i = 0; i < 4; i++) add_wide(sums, beyond[i], wide->cross[input++]);
}

static void next_wide(const ContextModel *model, const i16 *cell, i32 pitch, const double *far, double *sums) {
    for (i32 output = 0; output < OUTPUTS; output++) sums[output] = far[output];
    for (i32 i = 0; i < 9; i++) add_wide(sums, cell[(i / 3 - 1) * pitch + i % 3 - 1], model->wide.cross[i]);
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

static void make_context_model(ContextModel *model, const Tensors *tensors, const Preset *preset, i32 force_wide) {
    model->has_square_far = preset->cross == CROSS_MAX;
    model->is_narrow = !force_wide && fits(tensors, OWN + preset->cross);
    if (model->is_narrow) make_narrow(&model->narrow, tensors, preset->cross);
    else make_wide(&model->wide, tensors, preset->cross);
}

#endif
