// Decoder of pyramids: the stream of a tile -> its latent grids -> samples of any region of it. docs/format.md section 9.
//
// One pyramid at a time:
//     begin(preset, channels, width, height, stream bytes)
//     the host writes the stream to `stream()` and the integers of the base weights to `tensors()`
//     decode_tensors(budget), decode_grid(6), … decode_grid(0), finish()
//     synthesize(top, bottom, left, right, as_bytes), as often as it likes; the samples lie at `samples()`
// In place of the second and third line the host may write tensors and symbols of a decoded pyramid: `grid(level)`.
//
// All calls but those that return an address return a Status.
#include "synthesis.h"

typedef struct {
    const Preset *preset;  // null: nothing was begun
    i32 channels, width, height;
    u8 *stream;
    u32 stream_words;
    Tensors tensors;
    Grid grids[GRIDS];
    Coder coder;
    ContextModel model;
    Scratch scratch;
    i32 coded[LEVELS];
    i32 next_level;  // that `decode_grid` is to be called with; LEVELS: before `decode_tensors`; -1: all are decoded
    Mark decoded;    // memory up to here belongs to the pyramid, what lies behind to the last synthesis
    void *samples;
} Pyramid;
OWN_STATE Pyramid pyramid;

i32 EXPORT(begin)(i32 preset, i32 channels, i32 width, i32 height, u32 stream_bytes) {
    pyramid.preset = 0;
    if (preset < 0 || preset >= PRESET_COUNT || channels < 1 || channels > CHANNELS_MAX) return BAD_CALL;
    if (width < 1 || width > SIDE_LIMIT || height < 1 || height > SIDE_LIMIT || stream_bytes % 4) return BAD_CALL;
    make_tables();
    release_all();
    lay_out(&pyramid.tensors, &PRESETS[preset], channels);
    pyramid.stream = allocate(stream_bytes);
    i32 *values = allocate(sizeof(i32) * (u64)pyramid.tensors.count);
    if (!pyramid.stream || !values || make_grids(pyramid.grids, width, height)) return NO_MEMORY;
    if (make_scratch(&pyramid.scratch, pyramid.grids)) return NO_MEMORY;
    place(&pyramid.tensors, values);
    pyramid.stream_words = stream_bytes / 4;
    pyramid.channels = channels;
    pyramid.width = width;
    pyramid.height = height;
    pyramid.next_level = LEVELS;
    pyramid.decoded = mark();
    pyramid.preset = &PRESETS[preset];
    return OK;
}

u8 *EXPORT(stream)(void) { return pyramid.stream; }
i32 *EXPORT(tensors)(void) { return pyramid.tensors.values; }
u32 EXPORT(tensor_count)(void) { return pyramid.tensors.count; }
i16 *EXPORT(grid)(i32 level) { return pyramid.grids[clip(level, 0, LEVELS - 1)].cells; }
i32 EXPORT(grid_pitch)(i32 level) { return pyramid.grids[clip(level, 0, LEVELS - 1)].pitch; }
void *EXPORT(samples)(void) { return pyramid.samples; }
// Whether the weights allow 16-bit products.
i32 EXPORT(is_narrow)(void) { return pyramid.model.is_narrow; }

// Weight residuals are added to the base weights; flags tell which grids are coded. budget: symbols that may be decoded.
// force_wide: compute in float64 even if that is not necessary, for tests.
i32 EXPORT(decode_tensors)(u64 budget, i32 force_wide) {
    if (!pyramid.preset || pyramid.next_level != LEVELS) return BAD_CALL;
    Coder *coder = &pyramid.coder;
    coder_start(coder, pyramid.stream, pyramid.stream_words, budget);
    i32 status = take_tensors(coder, &pyramid.tensors);
    if (status) return status;
    make_context_model(&pyramid.model, &pyramid.tensors, pyramid.preset, force_wide);
    if (charge(coder, LEVELS)) return OVER_BUDGET;
    for (i32 level = LEVELS - 1; level >= 0; level--) {
        pyramid.coded[level] = take(coder, tables.two, 2);
        if (pyramid.coded[level] < 0) return BAD_STREAM;
        if (pyramid.coded[level] && charge(coder, grid_charge(&pyramid.grids[level]))) return OVER_BUDGET;
    }
    pyramid.next_level = LEVELS - 1;
    return OK;
}

// Levels 6, 5, … 0 in turn: a call takes a second at most, so that the host can be interrupted.
i32 EXPORT(decode_grid)(i32 level) {
    if (!pyramid.preset || pyramid.next_level != level || level < 0) return BAD_CALL;
    pyramid.next_level = level - 1;
    if (!pyramid.coded[level]) return OK;
    i32 status = (pyramid.model.is_narrow ? take_grid_narrow : take_grid_wide)(
        &pyramid.coder, &pyramid.model, pyramid.grids, level, &pyramid.scratch);
    if (status) pyramid.preset = 0;
    return status;
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
    pyramid.samples = allocate(as_bytes ? count : sizeof(float) * count);
    if (!pyramid.samples) return NO_MEMORY;
    Mark samples = mark();
    Region region = {top, bottom, left, right};
    i32 status = synthesize_region(pyramid.grids, &pyramid.tensors, pyramid.preset, pyramid.channels, region, as_bytes,
                                   pyramid.samples);
    release(samples);
    return status;
}
