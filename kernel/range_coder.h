// The range coder and the tables of its symbols: docs/format.md sections 4.1 to 4.3, 4.7 and 9.6.
#ifndef INR_RANGE_CODER_H
#define INR_RANGE_CODER_H

#include "platform.h"
#include "tables.h"

enum { PROBABILITY_BITS = 24, WHOLE = 1 << PROBABILITY_BITS };

typedef struct {
    const u8 *bytes;
    u32 words;  // of the stream
    u32 next;   // number of the word to be read next; words beyond the end are 0
    u64 lower, range, point;
    u64 budget;  // symbols, or work that takes as long, that may still be asked for
    i32 escapes_are_paid;
} Coder;

INLINE u32 next_word(Coder *coder) {
    u32 word = 0;
    if (coder->next < coder->words) memcpy(&word, coder->bytes + 4 * (u64)coder->next, 4);
    coder->next++;
    return word;
}

static void coder_start(Coder *coder, const u8 *bytes, u32 words, u64 budget) {
    *coder = (Coder){.bytes = bytes, .words = words, .range = ~0ull, .budget = budget};
    coder->point = (u64)next_word(coder) << 32;
    coder->point |= next_word(coder);
}

INLINE int charge(Coder *coder, u64 symbols) {
    if (symbols > coder->budget) return OVER_BUDGET;
    coder->budget -= symbols;
    return OK;
}

// Where the next symbol lies in 0 .. 2^24 - 1; more if no encoder wrote this.
INLINE u64 quantile(const Coder *coder) { return (coder->point - coder->lower) / (coder->range >> PROBABILITY_BITS); }

// Take the symbol whose cumulative frequencies are these.
INLINE void advance(Coder *coder, u32 from, u32 to) {
    u64 scale = coder->range >> PROBABILITY_BITS;
    coder->lower += scale * from;
    coder->range = scale * (to - from);
    if (coder->range < 1ull << 32) {
        coder->lower <<= 32;
        coder->range <<= 32;
        coder->point = coder->point << 32 | next_word(coder);
    }
}

// The next symbol under cumulative frequencies cumulated[0] = 0 … cumulated[count] = 2^24; -1: no encoder wrote this.
static i32 take(Coder *coder, const u32 *cumulated, u32 count) {
    u64 place = quantile(coder);
    if (place >= WHOLE) return -1;
    u32 low = 0, high = count;
    while (high - low > 1) {
        u32 middle = (low + high) >> 1;
        if (cumulated[middle] <= place)
            low = middle;
        else
            high = middle;
    }
    advance(coder, cumulated[low], cumulated[low + 1]);
    return (i32)low;
}

INLINE int is_exhausted(const Coder *coder) {
    return coder->next >= coder->words && coder->point - coder->lower < (2ull << 32) - 1;
}

// ---- tables ----
enum {
    SCALES = 64,
    EQUAL_MAX = 16,
    SCALE_DIFFERENCES = 511,
    ESCAPE_BITS = 13,
    MAGNITUDE_MAX = 15,
    SIDE_MAX = 1 << MAGNITUDE_MAX,
    LOG_SCALES = 73,
    FRACTIONS = 16,
    REACH = 17,  // residuals beyond are escapes
    BINS = 2 * REACH + 1,
    ROW = 40,  // the ends of 35 bins, filled up with 2^24
};

typedef struct {
    u32 rows[LOG_SCALES * FRACTIONS][ROW] __attribute__((aligned(64)));
    u32 sixteen[EQUAL_MAX + 1], two[3];
    u32 scale_difference[SCALE_DIFFERENCES + 1];
    u32 escape[(1 << ESCAPE_BITS) + 1];
    u32 laplace[2 * SIDE_MAX];
    u64 side[SIDE_MAX];
    i32 are_made;
} Tables;
static Tables tables;

// Section 4.2: cumulative frequencies from counts, each partial sum given.
INLINE u32 cumulated_at(u32 index, u64 partial_sum, double factor) {
    return index + (u32)((double)partial_sum * factor);
}
INLINE double factor_of(u32 symbols, u64 sum) { return (double)(WHOLE - (i32)symbols) / (double)sum; }

static void make_equal(u32 symbols, u32 *cumulated) {
    double factor = factor_of(symbols, symbols);
    for (u32 i = 0; i < symbols; i++) cumulated[i] = cumulated_at(i, i, factor);
    cumulated[symbols] = WHOLE;
}

// Section 4.3: counts of 1, 2, … count to tables.side; their sum.
static u64 make_side(u32 scale, u32 count) {
    u64 a = LAPLACE_DECAYS[scale], r = a * a >> 32, t = a + r, sum = 0;
    for (u32 i = 0; i < count; i++) {
        tables.side[i] = t > 1 ? t : 1;
        sum += tables.side[i];
        t = (t >> 32) * r + ((t & 0xffffffff) * r >> 32);
    }
    return sum;
}

// laplace(scale, magnitude_bits): 2^(m + 1) - 1 symbols.
static void make_laplace(u32 scale, u32 magnitude_bits, u32 *cumulated) {
    u32 side = (1u << magnitude_bits) - 1, symbols = 2 * side + 1;
    double factor = factor_of(symbols, 2 * make_side(scale, side) + (1ull << 33));
    u64 partial = 0;
    for (u32 i = 0; i < symbols; i++) {
        cumulated[i] = cumulated_at(i, partial, factor);
        partial += i < side ? tables.side[side - 1 - i] : i == side ? 1ull << 33 : tables.side[i - side - 1];
    }
    cumulated[symbols] = WHOLE;
}

// onesided(scale, magnitude_bits), section 4.7: 2^m symbols.
static void make_onesided(u32 scale, u32 magnitude_bits, u32 *cumulated) {
    u32 symbols = 1u << magnitude_bits;
    double factor = factor_of(symbols, make_side(scale, symbols - 1) + (1ull << 32));
    u64 partial = 0;
    for (u32 i = 0; i < symbols; i++) {
        cumulated[i] = cumulated_at(i, partial, factor);
        partial += i ? tables.side[i - 1] : 1ull << 32;
    }
    cumulated[symbols] = WHOLE;
}

// Section 9.6: G(u), the mass above u sixteenths from the mean.
INLINE u64 mass_above(const u64 *tails, i32 sixteenths) {
    return sixteenths >= 0 ? tails[sixteenths] : (1ull << 32) - tails[-sixteenths];
}

static void make_rows(u32 log_scale) {
    u64 tails[16 * REACH + 1];
    tails[0] = 1ull << 31;
    for (u32 i = 1; i <= 16 * REACH; i++) tails[i] = tails[i - 1] * RESIDUAL_DECAYS[log_scale] >> 32;
    for (i32 fraction = -8; fraction < 8; fraction++) {
        u64 counts[BINS], above = 1ull << 32, sum = 0, partial = 0;
        for (i32 bin = 0; bin < BINS; bin++) {
            u64 next = bin == BINS - 1 ? 0 : mass_above(tails, 16 * (bin - REACH) + 8 - fraction);
            counts[bin] = above - next > 1 ? above - next : 1;
            above = next;
            sum += counts[bin];
        }
        u32 *cumulated = tables.rows[log_scale * FRACTIONS + (u32)(fraction + 8)];
        double factor = factor_of(BINS, sum);
        for (u32 bin = 0; bin < BINS; bin++) {
            cumulated[bin] = cumulated_at(bin, partial, factor);
            partial += counts[bin];
        }
        for (u32 i = BINS; i < ROW; i++) cumulated[i] = WHOLE;
    }
}

static void make_tables(void) {
    if (tables.are_made) return;
    make_equal(16, tables.sixteen);
    make_equal(2, tables.two);
    make_laplace(22, 8, tables.scale_difference);
    make_onesided(32, ESCAPE_BITS, tables.escape);
    for (u32 log_scale = 0; log_scale < LOG_SCALES; log_scale++) make_rows(log_scale);
    tables.are_made = 1;
}

#endif
