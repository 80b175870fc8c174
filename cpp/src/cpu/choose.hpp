// The rows of a mask, and the ids of a boolean row: what the policies have in common, on the CPU.
//
// No scratch: the keys of a row that is too long for the stack live where its ids will be written. The longer
// of `visible` and `hidden` has room for N keys of 4 bytes, as its ids take 8 bytes and number at least N / 2,
// and the ids are written last.
#pragma once

#include "select.hpp"

namespace pymim::cpu::PYMIM_ISA {
namespace {

// One image's part of a Mask.
struct Row {
  int64_t v, m, n;
  int64_t *visible, *hidden;
  bool* boolean;
  Word* room = nullptr;  // for the keys and kPadding more

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

  // The first `count` words of the role's stream, as keys.
  Word* draw_keys(const Draw& draw, int64_t image, Role role, int64_t count) const {
    fill_words(draw, image, role, count, keys(), room != nullptr);
    return keys();
  }
  Word* keys() const { return room ? room : reinterpret_cast<Word*>(v > m ? visible : hidden); }
};

#if defined(__AVX512F__)

// Appends the lanes of `ids` that `chosen` names; whole vectors where they stay inside the row.
inline int64_t* append(__mmask16 chosen, __m512i ids, int64_t* to, const int64_t* end) {
  const int count = __builtin_popcount(chosen);
  const __m512i packed = _mm512_maskz_compress_epi32(chosen, ids);
  const __m512i low = _mm512_cvtepi32_epi64(_mm512_castsi512_si256(packed));
  const bool room = end - to >= 16;
  if (room)
    _mm512_storeu_si512(to, low);
  else
    _mm512_mask_storeu_epi64(to, static_cast<__mmask8>((1u << count) - 1), low);
  if (count > 8) {
    const __m512i high = _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(packed, 1));
    if (room)
      _mm512_storeu_si512(to + 8, high);
    else
      _mm512_mask_storeu_epi64(to + 8, static_cast<__mmask8>(((1u << count) - 1) >> 8), high);
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
