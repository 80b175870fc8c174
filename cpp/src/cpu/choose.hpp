// The smallest keys of a row, and the ids of a boolean row: what the policies have in common, on the CPU.
//
// No scratch: a row's keys live where its ids will be written. The longer of `visible` and `hidden` has room
// for N keys of 4 bytes, as its ids take 8 bytes and number at least N / 2, and the ids are written last.
#pragma once

#include "philox.hpp"

namespace pymim::cpu::PYMIM_ISA {
namespace {

// One image's part of a Mask.
struct Row {
  int64_t v, m, n;
  int64_t *visible, *hidden;
  bool* boolean;

  Row(const Mask& mask, int64_t image)
      : v(mask.visible[1]),
        m(mask.hidden[1]),
        n(v + m),
        visible(mask.visible.data + image * v),
        hidden(mask.hidden.data + image * m),
        boolean(mask.boolean.data + image * n) {}

  // The same of one of several views.
  Row(const Masks& masks, int64_t view, int64_t image)
      : v(masks.visible[2]),
        m(masks.hidden[2]),
        n(v + m),
        visible(masks.visible.data + (view * masks.visible[1] + image) * v),
        hidden(masks.hidden.data + (view * masks.hidden[1] + image) * m),
        boolean(masks.boolean.data + (view * masks.boolean[1] + image) * n) {}

  Word* keys() const { return reinterpret_cast<Word*>(v > m ? visible : hidden); }
};

#if defined(__AVX512F__)

inline __mmask16 first_lanes(int64_t count) {
  return static_cast<__mmask16>(count < 16 ? (1u << count) - 1 : 0xffff);
}

// Which of the 16 keys from `keys` on, of which `left` exist, are below `bound`.
inline __mmask16 below(const Word* keys, int64_t left, uint32_t bound) {
  const __mmask16 inside = first_lanes(left);
  return _mm512_mask_cmplt_epu32_mask(inside, _mm512_maskz_loadu_epi32(inside, keys),
                                      _mm512_set1_epi32(static_cast<int>(bound)));
}

inline int64_t count_below(const Word* keys, int64_t n, uint32_t bound) {
  int64_t count = 0, i = 0;
  for (; i + 16 <= n; i += 16)
    count += __builtin_popcount(
        _mm512_cmplt_epu32_mask(_mm512_loadu_si512(keys + i), _mm512_set1_epi32(static_cast<int>(bound))));
  return i < n ? count + __builtin_popcount(below(keys + i, n - i, bound)) : count;
}

// 64 flags at a time, so that whoever reads them next waits for no narrower stores.
inline void flip_below(const Word* keys, int64_t n, uint32_t bound, bool* flags) {
  for (int64_t i = 0; i < n; i += 64) {
    uint64_t bits = 0;
    for (int64_t j = i; j < n && j < i + 64; j += 16)
      bits |= uint64_t{below(keys + j, n - j, bound)} << (j - i);
    const __m512i flips = _mm512_maskz_set1_epi8(bits, 1);
    if (n - i >= 64) {
      _mm512_storeu_si512(flags + i, _mm512_xor_si512(_mm512_loadu_si512(flags + i), flips));
    } else {
      const __mmask64 inside = (uint64_t{1} << (n - i)) - 1;
      _mm512_mask_storeu_epi8(flags + i, inside,
                              _mm512_xor_si512(_mm512_maskz_loadu_epi8(inside, flags + i), flips));
    }
  }
}

// Appends the lanes of `ids` that `chosen` names; whole vectors where they stay inside the row.
inline int64_t* append(__mmask16 chosen, __m512i ids, int64_t* to, const int64_t* end) {
  const int count = __builtin_popcount(chosen);
  const __m512i packed = _mm512_maskz_compress_epi32(chosen, ids);
  const __m512i low = _mm512_cvtepi32_epi64(_mm512_castsi512_si256(packed));
  const __m512i high = _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(packed, 1));
  if (end - to >= 16) {
    _mm512_storeu_si512(to, low);
    _mm512_storeu_si512(to + 8, high);
  } else {
    const unsigned lanes = (1u << count) - 1;
    _mm512_mask_storeu_epi64(to, static_cast<__mmask8>(lanes), low);
    _mm512_mask_storeu_epi64(to + 8, static_cast<__mmask8>(lanes >> 8), high);
  }
  return to + count;
}

inline void write_ids(const Row& row) {
  int64_t *visible = row.visible, *hidden = row.hidden;
  __m512i ids = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  for (int64_t i = 0; i < row.n; i += 16) {
    const __mmask16 inside = first_lanes(row.n - i);
    const __m128i flags = _mm_maskz_loadu_epi8(inside, row.boolean + i);
    const __mmask16 hides = _mm_test_epi8_mask(flags, flags);
    visible = append(static_cast<__mmask16>(inside & ~hides), ids, visible, row.visible + row.v);
    hidden = append(hides, ids, hidden, row.hidden + row.m);
    ids = _mm512_add_epi32(ids, _mm512_set1_epi32(16));
  }
}

#else

inline int64_t count_below(const Word* keys, int64_t n, uint32_t bound) {
  int32_t count = 0;
  for (int64_t i = 0; i < n; ++i) count += keys[i] < bound;
  return count;
}

inline void flip_below(const Word* keys, int64_t n, uint32_t bound, bool* flags) {
  for (int64_t i = 0; i < n; ++i) flags[i] ^= keys[i] < bound;
}

inline void write_ids(const Row& row) {
  int64_t *visible = row.visible, *hidden = row.hidden;
  for (int64_t i = 0; i < row.n; ++i) {
    const bool hides = row.boolean[i];
    *(hides ? hidden : visible) = i;
    hidden += hides;
    visible += !hides;
  }
}

#endif

// What is known of a bound: it is at least `low` and less than `high`, and how many keys are below these.
struct Bracket {
  uint64_t low, high;
  int64_t below_low, below_high;
};

// Of keys that may be anything.
inline Bracket anywhere(int64_t n) { return {0, uint64_t{1} << 32, 0, n}; }

// Of keys that keep to a part of the range.
inline Bracket spanned(const Word* keys, int64_t n) {
  uint32_t least = 0xffffffffu, most = 0;
#pragma omp simd reduction(min : least) reduction(max : most)
  for (int64_t i = 0; i < n; ++i) {
    least = keys[i] < least ? keys[i] : least;
    most = keys[i] > most ? keys[i] : most;
  }
  return {least < most ? least : most, uint64_t{most} + 1, 0, n};
}

// The scale on which keys are evenly spread: their own.
struct Even {
  static double number(uint32_t key) { return key; }
  static uint32_t key(double number) { return static_cast<uint32_t>(static_cast<int64_t>(number)); }
};

// A key inside the bracket: where the one wanted is if they are even on the Scale, or halfway.
template <class Scale>
uint64_t guess(const Bracket& known, int64_t count, bool halve) {
  if (halve) return known.low + (known.high - known.low) / 2;
  const double share = (static_cast<double>(count - known.below_low) + 0.5) /
                       static_cast<double>(known.below_high - known.below_low + 1);
  const double low = Scale::number(static_cast<uint32_t>(known.low)),
               high = Scale::number(static_cast<uint32_t>(known.high - 1));
  const uint64_t key = Scale::key(low + (high - low) * share);
  return key <= known.low ? known.low + 1 : key >= known.high ? known.high - 1 : key;
}

// Flips the flags of the `count` smallest keys; of equal keys those of the lower ids. Looks for a bound with
// exactly `count` keys below it, by interpolation, and from the fifth pass on by halving in turn: 4 passes
// where the keys are as the Scale says, 64 at most. Only ties leave none.
template <class Scale = Even>
void flip_smallest(const Word* keys, int64_t n, int64_t count, bool* flags, Bracket known) {
  if (count == n) {
    for (int64_t i = 0; i < n; ++i) flags[i] ^= true;
    return;
  }
  for (int pass = 0; known.below_low != count && known.high - known.low > 1; ++pass) {
    const uint64_t middle = guess<Scale>(known, count, pass >= 4 && pass % 2 == 0);
    const int64_t below_middle = count_below(keys, n, static_cast<uint32_t>(middle));
    if (below_middle <= count) {
      known.low = middle;
      known.below_low = below_middle;
    } else {
      known.high = middle;
      known.below_high = below_middle;
    }
  }
  const auto bound = static_cast<uint32_t>(known.low);
  flip_below(keys, n, bound, flags);
  for (int64_t i = 0, ties = count - known.below_low; ties > 0; ++i) {
    const bool tie = keys[i] == bound;
    flags[i] ^= tie;
    ties -= tie;
  }
}

// Cells of a coarse grid, each `unit` cells of a fine one.
inline void enlarge(const bool* coarse, const Extent& grid, const Extent& unit, bool* fine) {
  const int64_t rows = grid[1] / unit[1], columns = grid[2] / unit[2];
  for (int64_t t = 0; t < grid[0]; ++t)
    for (int64_t y = 0; y < grid[1]; ++y)
      for (int64_t x = 0; x < columns; ++x) {
        const bool value = coarse[(t / unit[0] * rows + y / unit[1]) * columns + x];
        for (int64_t repeat = 0; repeat < unit[2]; ++repeat) *fine++ = value;
      }
}

}  // namespace
}  // namespace pymim::cpu::PYMIM_ISA
