// Latent grids and their decoding, wavefront by wavefront: docs/format.md sections 9.1 and 9.4.
#ifndef INR_GRIDS_H
#define INR_GRIDS_H

#include "context_narrow.h"
#include "context_wide.h"

enum {
    // Zeros around a grid, for contexts outside it; and two grids of zeros behind the coarsest.
    MARGIN_ROWS = 3,
    MARGIN_COLUMNS = 4,
    GRIDS = LEVELS + 2,
    // The fixed work of a wavefront counts as this many symbols, as in the package.
    WAVEFRONT_SYMBOLS = 75,
    // A call decodes so many symbols and returns: 0.2 seconds, or a second in float64.
    CALL_SYMBOLS = 1 << 21,
};

typedef struct {
    i16 *cells;  // row 0, column 0
    i32 rows, columns, pitch;
} Grid;

static int make_grid(Grid *grid, i32 rows, i32 columns) {
    grid->rows = rows;
    grid->columns = columns;
    grid->pitch = columns + 2 * MARGIN_COLUMNS;
    u64 bytes = sizeof(i16) * ((u64)grid->pitch * (u64)(rows + 2 * MARGIN_ROWS) + MARGIN_COLUMNS);
    i16 *memory = allocate(bytes);
    if (!memory) return NO_MEMORY;
    memset(memory, 0, bytes);
    grid->cells = memory + MARGIN_ROWS * grid->pitch + MARGIN_COLUMNS;
    return OK;
}

static int make_grids(Grid *grids, i32 width, i32 height) {
    for (i32 k = 0; k < GRIDS; k++) {
        i32 round_up = (1 << k) - 1;
        if (make_grid(&grids[k], (height + round_up) >> k, (width + round_up) >> k)) return NO_MEMORY;
    }
    return OK;
}

INLINE i16 *cell_of(const Grid *grid, i32 row, i32 column) { return grid->cells + row * grid->pitch + column; }

// Work of decoding a grid, in symbols.
INLINE u64 grid_charge(const Grid *grid) {
    return (u64)grid->rows * (u64)grid->columns + WAVEFRONT_SYMBOLS * (u64)(grid->columns + 2 * grid->rows);
}

// Rows of the symbols in wavefront x + 2 y = t of a grid: first, and the one behind the last.
INLINE i32 first_row_of(i32 wavefront, i32 columns) { return most(0, (wavefront - columns + 2) >> 1); }
INLINE i32 last_row_of(i32 wavefront, i32 rows) { return least(rows, (wavefront >> 1) + 1); }

// What contexts of coarser grids add to the first layer, for the cells of one wavefront and of the one before it. The
// cell of a symbol in an even row is in wavefront t >> 1 of the next grid, that of one in an odd row in the one before.
typedef struct {
    u8 *current, *before;
} Terms;
enum {
    TERM_BYTES = sizeof(double) * OUTPUTS > sizeof(vi) * OUTPUT_VECTORS ? sizeof(double) * OUTPUTS
                                                                        : sizeof(vi) * OUTPUT_VECTORS,
};
_Static_assert(TERM_BYTES % sizeof(vi) == 0, "terms are aligned");

INLINE void swap(Terms *terms) {
    u8 *current = terms->before;
    terms->before = terms->current;
    terms->current = current;
}
INLINE void *term(const Terms *terms, i32 row) {
    return (row & 1 ? terms->before : terms->current) + (i64)(row >> 1) * TERM_BYTES;
}
INLINE void *new_term(const Terms *terms, i32 row) { return terms->current + (i64)row * TERM_BYTES; }

typedef struct {
    Prediction *predictions;  // of the symbols of a wavefront, by row
    i32 *bins;
    Terms next, far;
} Scratch;

static int make_terms(Terms *terms, i32 rows) {
    terms->current = allocate((u64)rows * TERM_BYTES);
    terms->before = allocate((u64)rows * TERM_BYTES);
    return terms->current && terms->before ? OK : NO_MEMORY;
}

static int make_scratch(Scratch *scratch, const Grid *grids) {
    u64 rows = (u64)grids[0].rows;
    scratch->predictions = allocate(rows * sizeof(Prediction));
    scratch->bins = allocate(rows * sizeof(i32));
    if (!scratch->predictions || !scratch->bins) return NO_MEMORY;
    return make_terms(&scratch->next, grids[1].rows) || make_terms(&scratch->far, grids[2].rows) ? NO_MEMORY : OK;
}

typedef struct {
    Narrow narrow;
    Wide wide;
    i32 is_narrow, has_all_contexts;
} ContextModel;

static void make_context_model(ContextModel *model, const Tensors *tensors, const Preset *preset, i32 force_wide) {
    i32 cross = cross_of(preset);
    model->has_all_contexts = preset->has_all_contexts;
    model->is_narrow = !force_wide && is_narrow_exact(tensors, OWN + cross);
    if (model->is_narrow)
        make_narrow(&model->narrow, tensors, cross);
    else
        make_wide(&model->wide, tensors, cross);
}

// Terms of wavefront t of the second coarser grid.
INLINE void prepare_far(const ContextModel *model, i32 narrow, const Grid *grids, i32 level, i32 t, Terms *terms) {
    const Grid *far = &grids[level + 2];
    swap(terms);
    i32 end = last_row_of(t, far->rows);
    for (i32 y = first_row_of(t, far->columns); y < end; y++) {
        i32 x = t - 2 * y;
        const i16 *cell = cell_of(far, y, x);
        i16 beyond[4] = {0};
        if (model->has_all_contexts) {
            for (i32 i = 0; i < 4 && level + 3 + i < LEVELS; i++)
                beyond[i] = *cell_of(&grids[level + 3 + i], y >> (i + 1), x >> (i + 1));
        } else {
            beyond[0] = *cell;
        }
        if (narrow)
            far_narrow(&model->narrow, model->has_all_contexts, level, cell, far->pitch, beyond, new_term(terms, y));
        else
            far_wide(&model->wide, model->has_all_contexts, level, cell, far->pitch, beyond, new_term(terms, y));
    }
}

// Terms of wavefront t of the next coarser grid.
INLINE void
prepare_next(const ContextModel *model, i32 narrow, const Grid *next, i32 t, Terms *terms, const Terms *far) {
    swap(terms);
    i32 end = last_row_of(t, next->rows);
    for (i32 y = first_row_of(t, next->columns); y < end; y++) {
        const i16 *cell = cell_of(next, y, t - 2 * y);
        if (narrow)
            next_narrow(&model->narrow, cell, next->pitch, term(far, y), new_term(terms, y));
        else
            next_wide(&model->wide, cell, next->pitch, term(far, y), new_term(terms, y));
    }
}

// The bins of a wavefront, then its escapes.
INLINE int take_wavefront(Coder *coder, const Grid *grid, const Scratch *scratch, i32 t, i32 first, i32 end) {
    i32 outer = 0;
    for (i32 y = first; y < end; y++) {
        u64 place = quantile(coder);
        if (place >= WHOLE) return BAD_STREAM;
        const u32 *row = tables.rows[scratch->predictions[y].row];
        // How many bins begin at or before the place: no branch.
        vi count = {0};
        UNROLL
        for (i32 v = 0; v < (BINS + LANES) / LANES; v++) count -= ((const vi *)row)[v] <= (i32)place;
        i32 bin = sum_of(count) - 1;
        advance(coder, row[bin], row[bin + 1]);
        i32 symbol = scratch->predictions[y].mean + bin - REACH, escapes = (bin == 0) | (bin == BINS - 1);
        if (magnitude(symbol) > SYMBOL_MAX && !escapes) return BAD_SYMBOL;
        outer |= escapes;
        scratch->bins[y] = bin;
        *cell_of(grid, y, t - 2 * y) = (i16)symbol;
    }
    if (__builtin_expect(!outer, 1)) return OK;
    if (!coder->escapes_are_paid && charge(coder, (1 << ESCAPE_BITS) / VALUES_PER_SYMBOL)) return OVER_BUDGET;
    coder->escapes_are_paid = 1;
    for (i32 y = first; y < end; y++) {
        i32 bin = scratch->bins[y];
        if (bin != 0 && bin != BINS - 1) continue;
        if (charge(coder, 1)) return OVER_BUDGET;
        i32 beyond = take(coder, tables.escape, 1 << ESCAPE_BITS);
        if (beyond < 0) return BAD_STREAM;
        i32 symbol = scratch->predictions[y].mean + (bin ? REACH + beyond : -REACH - beyond);
        if (magnitude(symbol) > SYMBOL_MAX) return BAD_SYMBOL;
        *cell_of(grid, y, t - 2 * y) = (i16)symbol;
    }
    return OK;
}

// Goes on from a wavefront, which is 0 again when the grid is complete; MORE after CALL_SYMBOLS.
INLINE int take_grid(
    Coder *coder, ContextModel *model, i32 narrow, const Grid *grids, i32 level, Scratch *scratch, i32 *wavefront
) {
    const Grid *grid = &grids[level];
    i32 left = CALL_SYMBOLS;
    for (i32 pair = 0; pair < OWN_PAIRS; pair++)
        model->narrow.distances[pair] = PAIRS[pair][0] * grid->pitch + PAIRS[pair][1];
    for (i32 t = *wavefront; t <= grid->columns + 2 * grid->rows - 3; t++) {
        *wavefront = t;
        if (left <= 0) return MORE;
        if (!(t & 3)) prepare_far(model, narrow, grids, level, t >> 2, &scratch->far);
        if (!(t & 1)) prepare_next(model, narrow, &grids[level + 1], t >> 1, &scratch->next, &scratch->far);
        i32 first = first_row_of(t, grid->columns), end = last_row_of(t, grid->rows);
        for (i32 y = first; y < end; y++) {
            const i16 *symbol = cell_of(grid, y, t - 2 * y);
            const void *next = term(&scratch->next, y);
            scratch->predictions[y] = narrow ? predict_narrow(&model->narrow, symbol, next)
                                             : predict_wide(&model->wide, symbol, grid->pitch, next);
        }
        int status = take_wavefront(coder, grid, scratch, t, first, end);
        if (status) return status;
        left -= 1 + most(0, end - first);
    }
    *wavefront = 0;
    return OK;
}

NOINLINE int
take_grid_narrow(Coder *coder, ContextModel *model, const Grid *grids, i32 level, Scratch *scratch, i32 *wavefront) {
    Coder own = *coder;  // in registers
    int status = take_grid(&own, model, 1, grids, level, scratch, wavefront);
    *coder = own;
    return status;
}
NOINLINE int
take_grid_wide(Coder *coder, ContextModel *model, const Grid *grids, i32 level, Scratch *scratch, i32 *wavefront) {
    return take_grid(coder, model, 0, grids, level, scratch, wavefront);
}

#endif
