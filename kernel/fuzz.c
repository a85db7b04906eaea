// A target for libFuzzer: the bytes choose a pyramid and are its stream. See fuzz.py.
#include <stdio.h>
#include <stdlib.h>

#include "kernel.c"

// A stream that begins with PREFIX zero bytes and a word without its uppermost 12 bits has no residuals of any tensor.
enum { PREFIX = 8, FIRST_MASK = 0xfffff };
enum { CHOICES = 5, SIDE_MAX_FUZZED = 18, CHANNELS_FUZZED = 5, BUDGET = 1 << 20, WEIGHTS_MAX = 1 << 14 };

// Sets of base weights for three channels, as the package stores them; for others they are merely numbers of that size.
static i16 base_weights[PRESET_COUNT][WEIGHTS_MAX];

int LLVMFuzzerInitialize(int *count, char ***arguments) {
    (void)count;
    (void)arguments;
    for (i32 preset = 0; preset < PRESET_COUNT; preset++) {
        char name[32];
        snprintf(name, sizeof name, "INR_BASE_WEIGHTS_%d", preset);
        const char *path = getenv(name);
        FILE *file = path ? fopen(path, "rb") : 0;
        if (!file || !fread(base_weights[preset], sizeof(i16), WEIGHTS_MAX, file)) {
            fprintf(stderr, "%s must name the package's base weights\n", name);
            exit(2);
        }
        fclose(file);
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size) {
    if (size < CHOICES) return 0;
    i32 preset = data[0] % PRESET_COUNT, channels = 1 + data[1] % CHANNELS_FUZZED;
    i32 width = 1 + data[2] % SIDE_MAX_FUZZED, height = 1 + data[3] % SIDE_MAX_FUZZED, choice = data[4];
    u32 given = (u32)(size - CHOICES) & ~3u, prefix = data[1] & 128 ? PREFIX : 0, stream_bytes = prefix + given;
    if (begin(preset, channels, width, height, stream_bytes)) return 0;
    const View *memory = view();
    memset(memory->stream, 0, stream_bytes);
    if (given) memcpy(memory->stream + prefix, data + CHOICES, given);
    if (given && prefix) memory->stream[PREFIX + 3] = 0, memory->stream[PREFIX + 2] &= FIRST_MASK >> 16;
    for (u32 i = 0; i < memory->tensor_count; i++) memory->tensors[i] = base_weights[preset][i % WEIGHTS_MAX];
    // What is left of some damaged pyramids is evaluated, too: no symbols and no weights may lead beyond their memory.
    i32 status = decode(BUDGET, choice & 1);
    while (status == MORE) status = resume();
    if (status && choice >> 5) return 0;
    i32 top = choice & 4 ? height / 2 : 0, right = choice & 8 ? (width + 1) / 2 : width;
    synthesize(top, height, choice & 16 ? right / 2 : 0, right, choice >> 1 & 1);
    return 0;
}
