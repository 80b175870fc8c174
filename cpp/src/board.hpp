// The grid of one image as bits, and the boxes that are set on it, by the same code on the CPU and
// on a GPU.
#pragma once

#include "pymim/block.hpp"

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

// The lowest `count` bits of a word, 0 to 64.
PYMIM_HOST_DEVICE inline uint64_t first_bits(int count) {
  return count < 64 ? (uint64_t{1} << count) - 1 : ~uint64_t{0};
}

struct Board {
  uint64_t* words;
  int frames, rows, columns;
  int row_bits, frame_words;
  uint64_t each_row;  // the first bit of every row of a word

  PYMIM_HOST_DEVICE Board(uint64_t* to, int f, int r, int c)
      : words(to),
        frames(f),
        rows(r),
        columns(c),
        row_bits(static_cast<int>(board_row_bits(c))),
        frame_words((r * row_bits + 63) / 64),
        each_row(~uint64_t{0} / first_bits(row_bits)) {}

  PYMIM_HOST_DEVICE int size() const { return frames * frame_words; }
  PYMIM_HOST_DEVICE Box whole() const { return {0, 0, 0, frames, rows, columns}; }
  PYMIM_HOST_DEVICE bool at(int frame, int row, int column) const {
    const int bit = row * row_bits + column;
    return words[frame * frame_words + bit / 64] >> (bit % 64) & 1;
  }
  PYMIM_HOST_DEVICE void empty() const {
    for (int i = 0; i < size(); ++i) words[i] = 0;
  }

  // Calls visit(word, bits of the box in it) in raster order.
  template <class Visit>
  PYMIM_HOST_DEVICE void each_word(const Box& box, Visit visit) const {
    if (box.columns == 0) return;  // a block that does not fit has rows beyond the grid
    for (int f = box.frame; f < box.frame + box.frames; ++f) {
      uint64_t* frame = words + f * frame_words;
      const int begin = box.row * row_bits, end = begin + box.rows * row_bits;
      if (row_bits <= 64) {  // all rows at once, and of each the same columns
        const uint64_t columns_of_box = first_bits(box.columns) * each_row << box.column;
        each_word_between(frame, begin, end, [&](uint64_t& word, uint64_t bits) {
          visit(word, bits & columns_of_box);
        });
      } else {
        for (int row = begin + box.column; row < end; row += row_bits)
          each_word_between(frame, row, row + box.columns, visit);
      }
    }
  }

  // Calls visit(word, those of its bits that are numbers begin to end of the frame).
  template <class Visit>
  PYMIM_HOST_DEVICE static void each_word_between(uint64_t* frame, int begin, int end,
                                                  Visit visit) {
    for (int i = begin / 64; i * 64 < end; ++i) {
      const int before = begin - i * 64;
      visit(frame[i], first_bits(end - i * 64) & ~first_bits(before < 0 ? 0 : before));
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
