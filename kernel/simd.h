// Vectors of integers and floats, as GCC and Clang have them, and the few operations that differ between machines.
#ifndef INR_SIMD_H
#define INR_SIMD_H

#include "platform.h"

#if defined(__wasm__)
#include <wasm_simd128.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#else
#include <immintrin.h>
#endif

#if defined(__AVX2__)
enum { VECTOR_BYTES = 32 };
#define VECTOR_BYTES_TOKEN 32
#else
enum { VECTOR_BYTES = 16 };
#define VECTOR_BYTES_TOKEN 16
#endif
enum { LANES = VECTOR_BYTES / 4 };  // of 32 bits

typedef i32 vi __attribute__((vector_size(VECTOR_BYTES_TOKEN)));
typedef i16 vs __attribute__((vector_size(VECTOR_BYTES_TOKEN)));
typedef float vf __attribute__((vector_size(VECTOR_BYTES_TOKEN)));
typedef float vf_unaligned __attribute__((vector_size(VECTOR_BYTES_TOKEN), aligned(4), may_alias));

// Engines of WebAssembly sink arithmetic and spill unrolled loops. There a loop stays one, over a pointer that the
// compiler cannot see through.
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#define ROLLED _Pragma("clang loop unroll(disable)")
#else
#define UNROLL
#define ROLLED
#endif
#if defined(__wasm__)
#define LOOP ROLLED
#define WALK(pointer) __asm__ volatile("" : "+r"(pointer));
#else
#define LOOP UNROLL
#define WALK(pointer)
#endif
// Keeps weights from being held in registers over many symbols: there are not that many registers.
#define BARRIER __asm__ volatile("" ::: "memory");

// Products of pairs of 16-bit numbers, the two of each pair added.
INLINE vi dot(vs a, vs b) {
#if defined(__wasm__)
    return (vi)wasm_i32x4_dot_i16x8((v128_t)a, (v128_t)b);
#elif defined(__aarch64__)
    int16x8_t x = (int16x8_t)a, y = (int16x8_t)b;
    return (vi)vpaddq_s32(vmull_s16(vget_low_s16(x), vget_low_s16(y)), vmull_high_s16(x, y));
#elif defined(__AVX2__)
    return (vi)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#else
    return (vi)_mm_madd_epi16((__m128i)a, (__m128i)b);
#endif
}

// Both vectors as 16-bit numbers, which they must fit; with AVX2 in halves: low a, low b, high a, high b.
INLINE vs pack(vi a, vi b) {
#if defined(__wasm__)
    return (vs)wasm_i16x8_narrow_i32x4((v128_t)a, (v128_t)b);
#elif defined(__aarch64__)
    return (vs)vcombine_s16(vqmovn_s32((int32x4_t)a), vqmovn_s32((int32x4_t)b));
#elif defined(__AVX2__)
    return (vs)_mm256_packs_epi32((__m256i)a, (__m256i)b);
#else
    return (vs)_mm_packs_epi32((__m128i)a, (__m128i)b);
#endif
}

INLINE int any(vi a) {
#if defined(__wasm__)
    return wasm_v128_any_true((v128_t)a);
#elif defined(__aarch64__)
    return vmaxvq_u32((uint32x4_t)a) != 0;
#elif defined(__AVX2__)
    return !_mm256_testz_si256((__m256i)a, (__m256i)a);
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

INLINE i32 sum_of(vi a) {
    i32 sum = 0;
    UNROLL for (int lane = 0; lane < LANES; lane++) sum += a[lane];
    return sum;
}

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
INLINE vf multiply_add(vf a, vf b, vf c) {
#if defined(__AVX2__) && defined(__FMA__)
    return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
    return a * b + c;
#endif
}
INLINE vf rectified(vf a) { return (vf)((vi)a & (vi)(a > 0.0f)); }

#endif
