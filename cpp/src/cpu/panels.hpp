// Scores of a block of rows against packed centroids: start[k] + x . c_k, by a register tile of a
// matrix product.
//
// A product of our own, where the house rule sends products to a BLAS, because here the product is
// never stored: the scores of a few rows stay in the cache until the nearest centroid is read off,
// which a BLAS call cannot do. Centroids lie in panels of kWidth: panel p holds, for each depth,
// its kWidth centroids side by side, so that one load serves a whole vector of them.
#pragma once

#include <cstdint>
#include <cstring>

#include "register.hpp"
#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace pymim::cpu::PYMIM_ISA {

using Lanes = Packed<float>::Lanes;
constexpr int kLanes = Packed<float>::kLanes;
#if defined(__AVX512F__)
constexpr int kVectors = 4;
#else
constexpr int kVectors = 2;
#endif
// Rows of a register tile: kTile * kVectors sums, which leaves registers for the operands.
constexpr int kTile = 6;
constexpr int kWidth = kLanes * kVectors;

inline Lanes load(const float* from) {
  Lanes value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

inline Lanes spread(float value) { return Lanes{} + value; }

// Elementwise; b where a is NaN.
inline Lanes larger(Lanes a, Lanes b) { return a > b ? a : b; }

inline float largest(Lanes x) {
  float most = x[0];
#pragma omp simd reduction(max : most)
  for (int j = 0; j < kLanes; ++j) most = x[j] > most ? x[j] : most;
  return most;
}

inline float total(Lanes x) {
  float lanes[kLanes];
  std::memcpy(lanes, &x, sizeof x);
#pragma GCC unroll 8
  for (int half = kLanes / 2; half; half /= 2)
#pragma GCC unroll 8
    for (int j = 0; j < half; ++j) lanes[j] += lanes[j + half];
  return lanes[0];
}

// Bit j is set where x[j] >= bound.
inline unsigned at_least(Lanes x, float bound) {
#if defined(__AVX512F__)
  return _mm512_cmp_ps_mask((__m512)x, _mm512_set1_ps(bound), _CMP_GE_OQ);
#elif defined(__AVX2__)
  return static_cast<unsigned>(
      _mm256_movemask_ps(_mm256_cmp_ps((__m256)x, _mm256_set1_ps(bound), _CMP_GE_OQ)));
#else
  unsigned bits = 0;
  for (int j = 0; j < kLanes; ++j) bits |= unsigned{x[j] >= bound} << j;
  return bits;
#endif
}

// out[i][j] = start[j] + sum over depth of rows[i][depth] * panel[depth][j], for kTile rows.
inline void float_tile(const float* rows, int64_t depth, const float* panel, const float* start,
                       float* out, int64_t stride) {
  Lanes sums[kTile][kVectors];
#pragma GCC unroll 8
  for (int i = 0; i < kTile; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) sums[i][j] = load(start + j * kLanes);
  for (int64_t at = 0; at < depth; ++at) {
    Lanes column[kVectors];
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) column[j] = load(panel + at * kWidth + j * kLanes);
#pragma GCC unroll 8
    for (int i = 0; i < kTile; ++i) {
      const float x = rows[i * depth + at];
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) sums[i][j] += column[j] * x;
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kTile; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j)
      std::memcpy(out + i * stride + j * kLanes, &sums[i][j], sizeof(Lanes));
}

// The same with bfloat16 operands, two depths to a 32-bit pair, and float sums: `pairs` is the
// depth over two. Twice the multiplications an instruction.
#if defined(__AVX512F__)
constexpr bool kHasPairs = true;

inline bool pairs_supported() { return __builtin_cpu_supports("avx512bf16"); }

__attribute__((target("avx512bf16"))) inline void pair_tile(const uint32_t* rows, int64_t pairs,
                                                            const uint32_t* panel,
                                                            const float* start, float* out,
                                                            int64_t stride) {
  __m512 sums[kTile][kVectors];
#pragma GCC unroll 8
  for (int i = 0; i < kTile; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) sums[i][j] = _mm512_loadu_ps(start + j * kLanes);
  for (int64_t at = 0; at < pairs; ++at) {
    __m512bh column[kVectors];
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j)
      column[j] = (__m512bh)_mm512_loadu_si512(panel + at * kWidth + j * kLanes);
#pragma GCC unroll 8
    for (int i = 0; i < kTile; ++i) {
      const __m512bh x = (__m512bh)_mm512_set1_epi32(static_cast<int>(rows[i * pairs + at]));
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) sums[i][j] = _mm512_dpbf16_ps(sums[i][j], column[j], x);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kTile; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) _mm512_storeu_ps(out + i * stride + j * kLanes, sums[i][j]);
}
#else
constexpr bool kHasPairs = false;

inline bool pairs_supported() { return false; }
inline void pair_tile(const uint32_t*, int64_t, const uint32_t*, const float*, float*, int64_t) {}
#endif

}  // namespace pymim::cpu::PYMIM_ISA
