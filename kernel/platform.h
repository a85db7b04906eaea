// What the kernel needs of the machine: integers, exports, memory. There is no C library in WebAssembly.
#ifndef INR_PLATFORM_H
#define INR_PLATFORM_H

#include <stdint.h>

#if !defined(__wasm__)
#include <stdlib.h>
#include <string.h>
#endif

typedef uint8_t u8;
typedef int16_t i16;
typedef uint16_t u16;
typedef int32_t i32;
typedef uint32_t u32;
typedef int64_t i64;
typedef uint64_t u64;

#define INLINE static inline __attribute__((always_inline))
#define NOINLINE static __attribute__((noinline))

#if defined(__wasm__)
#define EXPORT(name) __attribute__((export_name(#name))) name
#else
#define EXPORT(name) name
#endif

// What a call may answer. The host turns it into an error of its own.
enum Status {
    OK,
    BAD_STREAM,   // no encoder writes such a stream
    BAD_SCALE,    // a scale index outside 0..63
    BAD_TENSOR,   // an integer of a tensor beyond its limit
    BAD_SYMBOL,   // a symbol of a grid outside -4095..4095
    LEFT_OVER,    // data behind the last symbol
    OVER_BUDGET,  // more symbols than the host allows
    NO_MEMORY,    // the host allows no more
    BAD_CALL,     // an argument outside its range, or a call out of turn
    MORE,         // not done yet: call `resume`
};

INLINE i32 least(i32 a, i32 b) { return a < b ? a : b; }
INLINE i32 most(i32 a, i32 b) { return a > b ? a : b; }
INLINE i32 clip(i32 value, i32 low, i32 high) { return most(low, least(value, high)); }
INLINE i32 magnitude(i32 value) { return value < 0 ? -value : value; }

// Single instructions of WebAssembly.
#if defined(__wasm__)
#define memset __builtin_memset
#define memcpy __builtin_memcpy
#endif

// ---- memory ----
// Blocks are handed out one behind another and given back together, down to a mark.
enum { ALIGNMENT = 64 };

#if defined(__wasm__)

extern u8 __heap_base;
static u64 used;  // bytes of the linear memory, from its start

typedef u64 Mark;
INLINE Mark mark(void) { return used; }
INLINE void release(Mark to) { used = to; }
INLINE void release_all(void) { used = (u64)(uintptr_t)&__heap_base; }

// Uninitialized; null if the host lets the memory grow no further.
static void *allocate(u64 bytes) {
    u64 start = (used + ALIGNMENT - 1) & ~(u64)(ALIGNMENT - 1), end = start + bytes;
    u64 have = (u64)__builtin_wasm_memory_size(0) << 16;
    if (bytes >> 32 || end >> 32) return 0;
    if (end > have && __builtin_wasm_memory_grow(0, (end - have + 65535) >> 16) == (unsigned long)-1) return 0;
    used = end;
    return (void *)(uintptr_t)start;
}

#else

// Each block is one of malloc's, so that AddressSanitizer sees every access beyond its end.
enum { BLOCKS_MAX = 64 };
static void *blocks[BLOCKS_MAX];
static int block_count;

typedef int Mark;
INLINE Mark mark(void) { return block_count; }
static void release(Mark to) {
    while (block_count > to) free(blocks[--block_count]);
}
static void release_all(void) { release(0); }

static void *allocate(u64 bytes) {
    if (block_count == BLOCKS_MAX || bytes >> 32) return 0;
    void *block = aligned_alloc(ALIGNMENT, (bytes + ALIGNMENT) & ~(u64)(ALIGNMENT - 1));
    if (block) blocks[block_count++] = block;
    return block;
}

#endif

#endif
