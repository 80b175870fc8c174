// Random words by the vector: Philox on as many blocks at once as the instruction set has 64-bit
// lanes. Only the low half of a lane counts, so a round is two widening products, two shifts and
// two xors, with nothing to mask.
#pragma once

#include <cstring>

#include "pymim/mask.hpp"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace pymim::cpu::PYMIM_ISA {
namespace {

using Word = uint32_t
    __attribute__((may_alias));  // keys live in rows that ids will overwrite: see choose.hpp

#if defined(__AVX2__)
constexpr int kBlocks = 4;
using Lanes = __m256i;
inline Lanes all(uint32_t value) { return _mm256_set1_epi64x(value); }
inline Lanes product(Lanes a, Lanes b) { return _mm256_mul_epu32(a, b); }
inline Lanes high(Lanes a) { return _mm256_srli_epi64(a, 32); }
inline Lanes mix(Lanes a, Lanes b, Lanes c) { return _mm256_xor_si256(_mm256_xor_si256(a, b), c); }
template <int s>
inline Lanes numbered(uint32_t first) {
  return _mm256_add_epi64(all(first), _mm256_setr_epi64x(0, 2 * s, s, 3 * s));
}
inline void store(Lanes x, Lanes y, Lanes z, Lanes w, Word* out) {
  const Lanes xy = _mm256_blend_epi32(x, _mm256_slli_epi64(y, 32), 0xaa);
  const Lanes zw = _mm256_blend_epi32(z, _mm256_slli_epi64(w, 32), 0xaa);
  _mm256_storeu_si256(reinterpret_cast<Lanes*>(out), _mm256_unpacklo_epi64(xy, zw));
  _mm256_storeu_si256(reinterpret_cast<Lanes*>(out + 8), _mm256_unpackhi_epi64(xy, zw));
}
#else
constexpr int kBlocks = 1;
using Lanes = uint64_t;
inline Lanes all(uint32_t value) { return value; }
inline Lanes product(Lanes a, Lanes b) { return (a & 0xffffffff) * (b & 0xffffffff); }
inline Lanes high(Lanes a) { return a >> 32; }
inline Lanes mix(Lanes a, Lanes b, Lanes c) { return a ^ b ^ c; }
template <int s>
inline Lanes numbered(uint32_t first) {
  return first;
}
inline void store(Lanes x, Lanes y, Lanes z, Lanes w, Word* out) {
  out[0] = static_cast<uint32_t>(x);
  out[1] = static_cast<uint32_t>(y);
  out[2] = static_cast<uint32_t>(z);
  out[3] = static_cast<uint32_t>(w);
}
#endif

constexpr int64_t kWords = 4 * kBlocks;
constexpr int kSetsAtOnce = 2;  // as many as there are registers for

// The words of kSets * kBlocks blocks of one image's stream from `first` on, every kStride-th, as
// random_words gives them. Sets at once hide each other's latency and share the round's keys.
template <int kSets = 1, int kStride = 1>
inline void store_words(const Draw& draw, int64_t image, uint32_t first, Word* out) {
  const Words counter = random_counter(draw, image, 0);
  Lanes x[kSets], y[kSets], z[kSets], w[kSets];
  for (int i = 0; i < kSets; ++i) {
    x[i] = numbered<kStride>(first + static_cast<uint32_t>(i * kBlocks * kStride));
    y[i] = all(counter.y);
    z[i] = all(counter.z);
    w[i] = all(counter.w);
  }
  uint32_t key0 = static_cast<uint32_t>(draw.seed), key1 = static_cast<uint32_t>(draw.seed >> 32);
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < kSets; ++i) {
      const Lanes a = product(all(0xD2511F53u), x[i]), b = product(all(0xCD9E8D57u), z[i]);
      x[i] = mix(high(b), y[i], all(key0));
      z[i] = mix(high(a), w[i], all(key1));
      y[i] = b;
      w[i] = a;
    }
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  for (int i = 0; i < kSets; ++i) store(x[i], y[i], z[i], w[i], out + i * kWords);
}

// The first n words of the role's part of one image's stream; up to kPadding more where there is
// room for them.
constexpr int64_t kPadding = kSetsAtOnce * kWords;
inline void fill_words(const Draw& draw, int64_t image, Role role, int64_t n, Word* out,
                       bool padded = false) {
  uint32_t block = first_block(role);
  int64_t i = 0;
  for (; i + (padded ? 1 : kPadding) <= n; i += kPadding, block += kSetsAtOnce * kBlocks)
    store_words<kSetsAtOnce>(draw, image, block, out + i);
  for (; i < n; i += kWords, block += kBlocks) {
    Word words[kWords];
    store_words(draw, image, block, words);
    for (int64_t j = 0; j < kWords && i + j < n; ++j) out[i + j] = words[j];
  }
}

}  // namespace
}  // namespace pymim::cpu::PYMIM_ISA
