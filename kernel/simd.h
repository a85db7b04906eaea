// Vectors of 16 bytes, as Clang has them, and the few operations that WebAssembly and x86-64 have apart.
#ifndef INR_SIMD_H
#define INR_SIMD_H

#include "platform.h"

#if defined(__wasm__)
#include <wasm_simd128.h>
#else
#include <immintrin.h>
#endif

enum { LANES = 4 };  // of 32 bits

typedef i32 vi __attribute__((vector_size(16)));
typedef i16 vs __attribute__((vector_size(16)));
typedef float vf __attribute__((vector_size(16)));
typedef float vf_unaligned __attribute__((vector_size(16), aligned(4), may_alias));

#define UNROLL _Pragma("clang loop unroll(full)")
#define ROLLED _Pragma("clang loop unroll(disable)")
// Engines of WebAssembly run fully unrolled loops slowly: they move the arithmetic and keep values on the stack. So a
// loop over weights stays a loop, and WALK hides its pointer from the compiler, which would unroll it otherwise.
#define WALK(pointer) __asm__ volatile("" : "+r"(pointer));
// Keeps weights from being held in registers over many symbols: there are not that many registers.
#define BARRIER __asm__ volatile("" ::: "memory");

// Products of pairs of 16-bit numbers, the two of each pair added.
INLINE vi dot(vs a, vs b) {
#if defined(__wasm__)
    return (vi)wasm_i32x4_dot_i16x8((v128_t)a, (v128_t)b);
#else
    return (vi)_mm_madd_epi16((__m128i)a, (__m128i)b);
#endif
}

// Both vectors as 16-bit numbers, which they must fit.
INLINE vs pack(vi a, vi b) {
#if defined(__wasm__)
    return (vs)wasm_i16x8_narrow_i32x4((v128_t)a, (v128_t)b);
#else
    return (vs)_mm_packs_epi32((__m128i)a, (__m128i)b);
#endif
}

INLINE i32 any(vi a) {
#if defined(__wasm__)
    return wasm_v128_any_true((v128_t)a);
#else
    return _mm_movemask_epi8(_mm_cmpeq_epi32((__m128i)a, _mm_setzero_si128())) != 0xffff;
#endif
}

INLINE vi splat(i32 value) { return (vi){0} + value; }
INLINE vf splat_float(float value) { return (vf){0} + value; }

INLINE vi positive(vi a) { return a & (a > 0); }
INLINE vi at_most(vi a, i32 limit) {
    vi above = a > limit;
    return (a & ~above) | (splat(limit) & above);
}
INLINE i32 sum_of(vi a) { return a[0] + a[1] + a[2] + a[3]; }

// Two neighbouring 16-bit numbers of memory in every lane.
INLINE vs splat_pair(const i16 *at) {
#if defined(__wasm__)
    return (vs)wasm_v128_load32_splat(at);
#else
    i32 pair;
    memcpy(&pair, at, 4);
    return (vs)splat(pair);
#endif
}

INLINE vf load(const float *at) { return *(const vf_unaligned *)at; }
INLINE void store(float *at, vf value) { *(vf_unaligned *)at = value; }
INLINE vf multiply_add(vf a, vf b, vf c) { return a * b + c; }
INLINE vf rectified(vf a) { return (vf)((vi)a & (vi)(a > 0.0f)); }

#endif
