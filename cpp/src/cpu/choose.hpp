// The rows of a mask, and the ids of a boolean row: what the policies have in common, on the CPU.
//
// No scratch: the keys of a row that is too long for the stack live where its ids will be written.
// The longer of `visible` and `hidden` has room for N keys of 4 bytes, as its ids take 8 bytes and
// number at least N / 2, and the ids are written last.
#pragma once

#include "select.hpp"

namespace pymim::cpu::PYMIM_ISA {
namespace {

// One image's part of a Mask.
struct MaskRow {
  int64_t v, m, n;
  int64_t *visible, *hidden;
  bool* boolean;
  Word* room = nullptr;  // for the keys and kPadding more

  MaskRow(const Mask& mask, int64_t image)
      : v(mask.visible[1]),
        m(mask.hidden[1]),
        n(v + m),
        visible(mask.visible.data + image * v),
        hidden(mask.hidden.data + image * m),
        boolean(mask.boolean.data + image * n) {}

  // The same of one of several views.
  MaskRow(const Masks& masks, int64_t view, int64_t image)
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

inline void write_ids(const MaskRow& row) {
  int64_t *visible = row.visible, *hidden = row.hidden;
  for (int64_t i = 0; i < row.n; ++i) {
    const bool hides = row.boolean[i];
    *(hides ? hidden : visible) = i;
    hidden += hides;
    visible += !hides;
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
