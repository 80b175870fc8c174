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

// A random word, or a key: it may alias, as keys live in rows that ids overwrite (choose.hpp).
using Word = uint32_t __attribute__((may_alias));

// Wide: one word, or four, in the low half of 64 bits each.
#if defined(__AVX2__)
constexpr int kBlocks = 4;
using Wide = __m256i;
inline Wide all(uint32_t value) { return _mm256_set1_epi64x(value); }
inline Wide product(Wide a, Wide b) { return _mm256_mul_epu32(a, b); }
inline Wide high(Wide a) { return _mm256_srli_epi64(a, 32); }
inline Wide mix(Wide a, Wide b, Wide c) { return _mm256_xor_si256(_mm256_xor_si256(a, b), c); }
template <int s>
inline Wide numbered(uint32_t first) {
  return _mm256_add_epi64(all(first), _mm256_setr_epi64x(0, 2 * s, s, 3 * s));
}
inline void store(Wide x, Wide y, Wide z, Wide w, Word* out) {
  const Wide xy = _mm256_blend_epi32(x, _mm256_slli_epi64(y, 32), 0xaa);
  const Wide zw = _mm256_blend_epi32(z, _mm256_slli_epi64(w, 32), 0xaa);
  _mm256_storeu_si256(reinterpret_cast<Wide*>(out), _mm256_unpacklo_epi64(xy, zw));
  _mm256_storeu_si256(reinterpret_cast<Wide*>(out + 8), _mm256_unpackhi_epi64(xy, zw));
}
#else
constexpr int kBlocks = 1;
using Wide = uint64_t;
inline Wide all(uint32_t value) { return value; }
inline Wide product(Wide a, Wide b) { return (a & 0xffffffff) * (b & 0xffffffff); }
inline Wide high(Wide a) { return a >> 32; }
inline Wide mix(Wide a, Wide b, Wide c) { return a ^ b ^ c; }
template <int s>
inline Wide numbered(uint32_t first) {
  return first;
}
inline void store(Wide x, Wide y, Wide z, Wide w, Word* out) {
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
  Wide x[kSets], y[kSets], z[kSets], w[kSets];
  for (int i = 0; i < kSets; ++i) {
    x[i] = numbered<kStride>(first + static_cast<uint32_t>(i * kBlocks * kStride));
    y[i] = all(counter.y);
    z[i] = all(counter.z);
    w[i] = all(counter.w);
  }
  uint32_t key0 = static_cast<uint32_t>(draw.seed), key1 = static_cast<uint32_t>(draw.seed >> 32);
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < kSets; ++i) {
      const Wide a = product(all(0xD2511F53u), x[i]), b = product(all(0xCD9E8D57u), z[i]);
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
