// Decoder of pyramids: the stream of a tile -> its latent grids -> samples of any region of it. docs/format.md section 9.
//
// One pyramid at a time:
//     begin(preset, channels, width, height, stream bytes)
//     the host writes the stream and the integers of the base weights to where `view()` says
//     decode_tensors(budget), decode_grids(0), finish()
//     synthesize(top, bottom, left, right, as_bytes), as often as it likes
// In place of the second and third line the host may write tensors and symbols of a decoded pyramid.
//
// All calls but `view` return a Status.
#include "synthesis.h"

// Where a host finds what it reads and writes; the memory may move between calls.
typedef struct {
    u8 *stream;
    i32 *tensors;         // integers of all tensors, one behind another
    u32 tensor_count;     // of those integers
    void *samples;        // of the last synthesis
    i32 is_narrow;        // whether the weights allowed 16-bit products
    i16 *grids[LEVELS];   // row 0, column 0
    i32 pitches[LEVELS];  // symbols from one row of a grid to the next
} View;
OWN_STATE View shown;

typedef struct {
    const Preset *preset;  // null: nothing was begun
    i32 channels, width, height;
    u32 stream_words;
    Tensors tensors;
    Grid grids[GRIDS];
    Coder coder;
    ContextModel model;
    Scratch scratch;
    i32 coded[LEVELS];
    i32 next_level;  // to be decoded; LEVELS: before `decode_tensors`; -1: all are decoded
    Mark decoded;    // memory up to here belongs to the pyramid, what lies behind to the last synthesis
} Pyramid;
OWN_STATE Pyramid pyramid;

i32 EXPORT(begin)(i32 preset, i32 channels, i32 width, i32 height, u32 stream_bytes) {
    pyramid.preset = 0;
    if (preset < 0 || preset >= PRESET_COUNT || channels < 1 || channels > CHANNELS_MAX) return BAD_CALL;
    if (width < 1 || width > SIDE_LIMIT || height < 1 || height > SIDE_LIMIT || stream_bytes % 4) return BAD_CALL;
    make_tables();
    release_all();
    lay_out(&pyramid.tensors, &PRESETS[preset], channels);
    shown = (View){.stream = allocate(stream_bytes), .tensors = allocate(sizeof(i32) * (u64)pyramid.tensors.count)};
    if (!shown.stream || !shown.tensors || make_grids(pyramid.grids, width, height)) return NO_MEMORY;
    if (make_scratch(&pyramid.scratch, pyramid.grids)) return NO_MEMORY;
    place(&pyramid.tensors, shown.tensors);
    shown.tensor_count = pyramid.tensors.count;
    for (i32 level = 0; level < LEVELS; level++) {
        shown.grids[level] = pyramid.grids[level].cells;
        shown.pitches[level] = pyramid.grids[level].pitch;
    }
    pyramid.stream_words = stream_bytes / 4;
    pyramid.channels = channels;
    pyramid.width = width;
    pyramid.height = height;
    pyramid.next_level = LEVELS;
    pyramid.decoded = mark();
    pyramid.preset = &PRESETS[preset];
    return OK;
}

const View *EXPORT(view)(void) { return &shown; }

// Weight residuals are added to the base weights; flags tell which grids are coded. budget: symbols that may be decoded.
// force_wide: compute in float64 even if that is not necessary, for tests.
i32 EXPORT(decode_tensors)(u64 budget, i32 force_wide) {
    if (!pyramid.preset || pyramid.next_level != LEVELS) return BAD_CALL;
    Coder *coder = &pyramid.coder;
    coder_start(coder, shown.stream, pyramid.stream_words, budget);
    i32 status = take_tensors(coder, &pyramid.tensors);
    if (status) return status;
    make_context_model(&pyramid.model, &pyramid.tensors, pyramid.preset, force_wide);
    shown.is_narrow = pyramid.model.is_narrow;
    if (charge(coder, LEVELS)) return OVER_BUDGET;
    for (i32 level = LEVELS - 1; level >= 0; level--) {
        pyramid.coded[level] = take(coder, tables.two, 2);
        if (pyramid.coded[level] < 0) return BAD_STREAM;
        if (pyramid.coded[level] && charge(coder, grid_charge(&pyramid.grids[level]))) return OVER_BUDGET;
    }
    pyramid.next_level = LEVELS - 1;
    return OK;
}

static i32 decode_next_grid(void) {
    i32 level = pyramid.next_level--;
    if (!pyramid.coded[level]) return OK;
    return (pyramid.model.is_narrow ? take_grid_narrow : take_grid_wide)(&pyramid.coder, &pyramid.model, pyramid.grids,
                                                                         level, &pyramid.scratch);
}

// Goes on down to this level. A host that wants to be interrupted calls it for one level after another.
i32 EXPORT(decode_grids)(i32 last) {
    if (!pyramid.preset || last < 0 || last > pyramid.next_level || pyramid.next_level == LEVELS) return BAD_CALL;
    while (pyramid.next_level >= last) {
        i32 status = decode_next_grid();
        if (status) {
            pyramid.preset = 0;
            return status;
        }
    }
    return OK;
}

i32 EXPORT(finish)(void) {
    if (!pyramid.preset || pyramid.next_level != -1) return BAD_CALL;
    return is_exhausted(&pyramid.coder) ? OK : LEFT_OVER;
}

i32 EXPORT(synthesize)(i32 top, i32 bottom, i32 left, i32 right, i32 as_bytes) {
    if (!pyramid.preset || top < 0 || bottom > pyramid.height || top >= bottom) return BAD_CALL;
    if (left < 0 || right > pyramid.width || left >= right) return BAD_CALL;
    release(pyramid.decoded);
    u64 count = (u64)(bottom - top) * (u64)(right - left) * (u64)pyramid.channels;
    shown.samples = allocate(as_bytes ? count : sizeof(float) * count);
    if (!shown.samples) return NO_MEMORY;
    Mark samples = mark();
    Region region = {top, bottom, left, right};
    i32 status = synthesize_region(pyramid.grids, &pyramid.tensors, pyramid.preset, pyramid.channels, region, as_bytes,
                                   shown.samples);
    release(samples);
    return status;
}
