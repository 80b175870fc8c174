// The few keys of a row around a guess, in two registers of AVX-512: nothing of them is stored on the way.
#pragma once

#include "philox.hpp"

#if defined(__AVX512F__)

namespace pymim::cpu::PYMIM_ISA {
namespace {

inline __mmask16 first_lanes(int64_t count) {
  return static_cast<__mmask16>(count < 16 ? (1u << count) - 1 : 0xffff);
}

// The keys of [low, high) that a row has, gathered in two registers that take turns: kMost in each can be
// ranked.
class Window {
 public:
  static constexpr int64_t kMost = 16;
  int64_t below = 0, size = 0;  // keys below it and in it

  Window(const Word* row, int64_t n, uint64_t low, uint64_t high)
      : from_(_mm512_set1_epi32(static_cast<int>(low))),
        last_(_mm512_set1_epi32(static_cast<int>(high - 1 - low))) {
    for (int64_t i = 0; i < n; i += 32) {
      even_.take(*this, row + i, n - i);
      if (n - i > 16) odd_.take(*this, row + i + 16, n - i - 16);
    }
    below = even_.below + odd_.below;
    size = even_.size + odd_.size;
  }

  bool holds() const { return even_.size <= kMost && odd_.size <= kMost; }

  // The key that `rank` of the window's come before, in order, and how many of the row's are less than it.
  struct Found {
    uint32_t key;
    int64_t below;
  };
  Found at(int64_t rank) const {
    alignas(64) Word even[kMost], odd[kMost];
    _mm512_store_si512(even, even_.keys);
    _mm512_store_si512(odd, odd_.keys);
    __m512i before_even = _mm512_setzero_si512(), before_odd = before_even;  // how many keys are less than each
    const int64_t more = even_.size > odd_.size ? even_.size : odd_.size;
    for (int64_t i = 0; i < more; ++i)
      for (const Word word : {even[i], odd[i]}) {
        const __m512i key = _mm512_set1_epi32(static_cast<int>(word));
        before_even = even_.count_after(key, before_even);
        before_odd = odd_.count_after(key, before_odd);
      }
    // Of those that at most `rank` are less than, the greatest.
    const __m512i most = _mm512_set1_epi32(static_cast<int>(rank));
    const __m512i fit =
        _mm512_max_epu32(even_.where_at_most(before_even, most), odd_.where_at_most(before_odd, most));
    const uint32_t key = _mm512_reduce_max_epu32(fit);
    return {key, below + even_.count_less(key) + odd_.count_less(key)};
  }

 private:
  // Lanes that no key has taken hold the greatest number, which comes before none.
  struct Half {
    __m512i keys = _mm512_set1_epi32(-1);
    int64_t below = 0, size = 0;

    void take(const Window& window, const Word* at, int64_t left) {
      const __mmask16 inside = first_lanes(left);
      const __m512i key = _mm512_maskz_loadu_epi32(inside, at);
      const __mmask16 in =
          _mm512_mask_cmple_epu32_mask(inside, _mm512_sub_epi32(key, window.from_), window.last_);
      const auto free = static_cast<__mmask16>(0xffffu << (size < kMost ? size : kMost));
      const int count = __builtin_popcount(in);
      const __m512i packed = _mm512_mask_compress_epi32(_mm512_set1_epi32(-1), in, key);
      keys = _mm512_mask_expand_epi32(keys, free, packed);
      size += count;
      below += __builtin_popcount(_mm512_mask_cmplt_epu32_mask(inside, key, window.from_));
    }
    __m512i count_after(__m512i key, __m512i before) const {
      return _mm512_mask_add_epi32(before, _mm512_cmplt_epu32_mask(key, keys), before, _mm512_set1_epi32(1));
    }
    __m512i where_at_most(__m512i before, __m512i most) const {
      return _mm512_maskz_mov_epi32(_mm512_mask_cmple_epu32_mask(first_lanes(size), before, most), keys);
    }
    int count_less(uint32_t key) const {
      const __m512i all_lanes = _mm512_set1_epi32(static_cast<int>(key));
      return __builtin_popcount(_mm512_mask_cmplt_epu32_mask(first_lanes(size), keys, all_lanes));
    }
  };

  __m512i from_, last_;
  Half even_, odd_;
};

}  // namespace
}  // namespace pymim::cpu::PYMIM_ISA

#endif
