// The grid of one image as bits, and the boxes that are set on it, by the same code on the CPU and on a GPU.
#pragma once

#include "pymim/view.hpp"

namespace pymim {
namespace {

// Frames, rows and columns, from where and how many.
struct Box {
  int frame, row, column, frames, rows, columns;
};

PYMIM_HOST_DEVICE inline int count_bits(uint64_t word) {
#if defined(__CUDA_ARCH__)
  return __popcll(word);
#else
  return __builtin_popcountll(word);
#endif
}

// The lowest `count` set bits of `word`.
PYMIM_HOST_DEVICE inline uint64_t lowest_bits(uint64_t word, int count) {
  uint64_t rest = word;
  for (int i = 0; i < count; ++i) rest &= rest - 1;
  return word ^ rest;
}

struct Board {
  uint64_t* words;
  int frames, rows, columns;

  PYMIM_HOST_DEVICE int words_per_row() const { return (columns + 63) / 64; }
  PYMIM_HOST_DEVICE int size() const { return frames * rows * words_per_row(); }
  PYMIM_HOST_DEVICE Box whole() const { return {0, 0, 0, frames, rows, columns}; }
  PYMIM_HOST_DEVICE bool at(int row, int column) const {
    return words[row * words_per_row() + column / 64] >> (column % 64) & 1;
  }
  PYMIM_HOST_DEVICE void empty() const {
    for (int i = 0; i < size(); ++i) words[i] = 0;
  }

  // Calls visit(word, bits of the box in it) in raster order.
  template <class Visit>
  PYMIM_HOST_DEVICE void each_word(const Box& box, Visit visit) const {
    if (box.columns == 0) return;
    const int first = box.column / 64, last = (box.column + box.columns - 1) / 64;
    const uint64_t after = ~uint64_t{0} << (box.column % 64);
    const uint64_t before = ~uint64_t{0} >> (63 - (box.column + box.columns - 1) % 64);
    for (int f = box.frame; f < box.frame + box.frames; ++f)
      for (int r = box.row; r < box.row + box.rows; ++r) {
        uint64_t* row = words + (f * rows + r) * words_per_row();
        for (int i = first; i <= last; ++i)
          visit(row[i], (i == first ? after : ~uint64_t{0}) & (i == last ? before : ~uint64_t{0}));
      }
  }

  PYMIM_HOST_DEVICE int count(const Box& box) const {
    int sum = 0;
    each_word(box, [&](uint64_t& word, uint64_t bits) { sum += count_bits(word & bits); });
    return sum;
  }
  PYMIM_HOST_DEVICE void set(const Box& box) const {
    each_word(box, [](uint64_t& word, uint64_t bits) { word |= bits; });
  }
  PYMIM_HOST_DEVICE void clear(const Box& box) const {
    each_word(box, [](uint64_t& word, uint64_t bits) { word &= ~bits; });
  }

  // Sets the first `count` clear bits of the box, and gives how many of them it did not have.
  PYMIM_HOST_DEVICE int set_first(const Box& box, int count) const {
    each_word(box, [&](uint64_t& word, uint64_t bits) {
      const uint64_t free = bits & ~word;
      const uint64_t taken = count_bits(free) <= count ? free : lowest_bits(free, count);
      word |= taken;
      count -= count_bits(taken);
    });
    return count;
  }

  // Keeps only the first `count` set bits.
  PYMIM_HOST_DEVICE void keep_first(int count) const {
    for (int i = 0; i < size(); ++i) {
      if (count_bits(words[i]) > count) words[i] = lowest_bits(words[i], count);
      count -= count_bits(words[i]);
    }
  }
};

}  // namespace
}  // namespace pymim
