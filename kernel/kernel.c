// Decoder of pyramids: the stream of a tile -> its latent grids -> samples of any region of it. docs/format.md
// section 9.
//
// One pyramid at a time:
//     begin(preset, channels, width, height, stream bytes)
//     the host writes the stream and the integers of the base weights to where `view()` says
//     decode(budget, force_wide), then resume() as long as they answer MORE
//     synthesize(top, bottom, left, right, as_bytes), as often as it likes
// In place of the second and third line the host may write tensors and symbols of a decoded pyramid. After a `decode`
// that fails it is not to be decoded again. All calls but `view` return a Status.
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
static View shown;

typedef struct {
    const Preset *preset;  // null: nothing was begun
    i32 channels, width, height;
    u32 stream_words;
    Tensors tensors;
    Grid grids[GRIDS];
    ContextModel model;
    Scratch scratch;
    enum { BEGUN, DECODING, STOPPED } stage;
    Coder coder;
    i32 coded[LEVELS];
    i32 level, wavefront;  // to be decoded next
    Mark end;              // memory up to here belongs to the pyramid, what lies behind to the last synthesis
} Pyramid;
static Pyramid pyramid;

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
    pyramid.stage = BEGUN;
    pyramid.end = mark();
    pyramid.preset = &PRESETS[preset];
    return OK;
}

const View *EXPORT(view)(void) { return &shown; }

static i32 take_flags(Coder *coder) {
    if (charge(coder, LEVELS)) return OVER_BUDGET;
    for (i32 level = LEVELS - 1; level >= 0; level--) {
        pyramid.coded[level] = take(coder, tables.two, 2);
        if (pyramid.coded[level] < 0) return BAD_STREAM;
        if (pyramid.coded[level] && charge(coder, grid_charge(&pyramid.grids[level]))) return OVER_BUDGET;
    }
    return OK;
}

static i32 take_grids(void) {
    ContextModel *model = &pyramid.model;
    for (; pyramid.level >= 0; pyramid.level--) {
        if (!pyramid.coded[pyramid.level]) continue;
        i32 status = (model->is_narrow ? take_grid_narrow : take_grid_wide)(
            &pyramid.coder, model, pyramid.grids, pyramid.level, &pyramid.scratch, &pyramid.wavefront
        );
        if (status) return status;
    }
    return is_exhausted(&pyramid.coder) ? OK : LEFT_OVER;
}

// Adds the coded differences to the base weights and takes the symbols. budget: symbols that may be asked for.
// force_wide: compute in float64 even if that is not necessary, for tests.
i32 EXPORT(decode)(u64 budget, i32 force_wide) {
    if (!pyramid.preset || pyramid.stage != BEGUN) return BAD_CALL;
    pyramid.stage = STOPPED;
    coder_start(&pyramid.coder, shown.stream, pyramid.stream_words, budget);
    i32 status = take_tensors(&pyramid.coder, &pyramid.tensors);
    if (status) return status;
    make_context_model(&pyramid.model, &pyramid.tensors, pyramid.preset, force_wide);
    shown.is_narrow = pyramid.model.is_narrow;
    status = take_flags(&pyramid.coder);
    if (status) return status;
    pyramid.level = LEVELS - 1;
    pyramid.wavefront = 0;
    pyramid.stage = DECODING;
    return MORE;
}

i32 EXPORT(resume)(void) {
    if (!pyramid.preset || pyramid.stage != DECODING) return BAD_CALL;
    i32 status = take_grids();
    if (status != MORE) pyramid.stage = STOPPED;
    return status;
}

i32 EXPORT(synthesize)(i32 top, i32 bottom, i32 left, i32 right, i32 as_bytes) {
    if (!pyramid.preset || top < 0 || bottom > pyramid.height || top >= bottom) return BAD_CALL;
    if (left < 0 || right > pyramid.width || left >= right) return BAD_CALL;
    release(pyramid.end);
    u64 count = (u64)(bottom - top) * (u64)(right - left) * (u64)pyramid.channels;
    shown.samples = allocate(as_bytes ? count : sizeof(float) * count);
    if (!shown.samples) return NO_MEMORY;
    Mark samples = mark();
    Region region = {top, bottom, left, right};
    i32 status = synthesize_region(
        pyramid.grids, &pyramid.tensors, pyramid.preset, pyramid.channels, region, as_bytes, shown.samples
    );
    release(samples);
    return status;
}
