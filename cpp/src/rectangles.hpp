// The block policies on one image: the same code on the CPU and on a GPU. Every operation on floats
// in it is exactly rounded on both (+, -, /, sqrt, and each a * b + c is written as the fma it
// might else become), so that no compiler or instruction set can draw another mask.
#pragma once

#include <cmath>
#include <cstring>

#include "block.hpp"
#include "board.hpp"

namespace pymim {
namespace {

// Where each policy begins in the image's words of Role::rectangles.
constexpr uint32_t kBlockWords = 0, kWindowWords = 1u << 25, kTargetWords = 5u << 23,
                   kTrimWords = 3u << 24;

PYMIM_HOST_DEVICE inline Words rectangle_words(const Draw& draw, int64_t image, uint32_t block) {
  return random_words(draw, image, first_block(Role::rectangles) + block);
}

// 2^x for |x| < 126 by its Taylor series, to 2e-7.
PYMIM_HOST_DEVICE inline float exp2_same_everywhere(float x) {
  const float whole = std::floor(x + 0.5f), rest = x - whole;
  float p = 1.5403530e-4f;
  p = std::fma(p, rest, 1.3333558e-3f);
  p = std::fma(p, rest, 9.6181291e-3f);
  p = std::fma(p, rest, 5.5504109e-2f);
  p = std::fma(p, rest, 2.4022651e-1f);
  p = std::fma(p, rest, 6.9314718e-1f);
  p = std::fma(p, rest, 1.f);
  const int32_t bits = (static_cast<int32_t>(whole) + 127) << 23;
  float power;
  std::memcpy(&power, &bits, sizeof power);
  return p * power;
}

// The square root of an aspect.
PYMIM_HOST_DEVICE inline float draw_stretch(const Stretch& stretch, uint32_t word) {
  return exp2_same_everywhere(std::fma(unit(word), stretch.span, stretch.low));
}

PYMIM_HOST_DEVICE inline int below_int(uint32_t word, int n) {
  return static_cast<int>(below(word, static_cast<uint32_t>(n)));
}

PYMIM_HOST_DEVICE inline int clamp_int(int value, int low, int high) {
  return value < low ? low : value > high ? high : value;
}

// The largest area of a block where `left` patches are to be hidden.
PYMIM_HOST_DEVICE inline float largest_area(const BlockLaw& law, int left) {
  return law.largest > 0 ? law.largest : static_cast<float>(left);
}

// A candidate of these words and this stretch in its frame; of no columns where it is too tall or
// too wide.
PYMIM_HOST_DEVICE inline Box lay_block(const BlockLaw& law, Words words, float stretch,
                                       float largest) {
  const float side = std::sqrt(std::fma(unit(words.x), largest - law.smallest, law.smallest));
  const int rows = clamp_int(static_cast<int>(std::fma(side, stretch, 0.5f)), 1, law.tallest + 1);
  const int columns = clamp_int(static_cast<int>(side / stretch + 0.5f), 1, law.widest + 1);
  const int fits = static_cast<int>(rows <= law.tallest) & static_cast<int>(columns <= law.widest);
  return {0,
          below_int(words.z, law.rows - rows + 1),
          below_int(words.w, law.columns - columns + 1),
          1,
          rows,
          columns * fits};
}

// The words of candidate k, and four more for its frames.
PYMIM_HOST_DEVICE inline Words candidate_words(const Draw& draw, int64_t image, uint32_t k,
                                               uint32_t more = 0) {
  return rectangle_words(draw, image, kBlockWords + 2 * k + more);
}

// Candidate k where `left` patches are to be hidden, made when it is asked for: what a GPU does. A
// CPU makes many at once.
struct Candidates {
  const BlockLaw& law;
  Draw draw;
  int64_t image;

  PYMIM_HOST_DEVICE Box operator()(uint32_t k, int left) const {
    const Words words = candidate_words(draw, image, k);
    return in_frames(
        lay_block(law, words, draw_stretch(law.stretch, words.y), largest_area(law, left)), k);
  }
  PYMIM_HOST_DEVICE Box in_frames(Box box, uint32_t k) const {
    if (law.frames == 1) return box;
    const Words words = candidate_words(draw, image, k, 1);
    box.frames = law.shortest + below_int(words.x, law.longest - law.shortest + 1);
    box.frame = below_int(words.y, law.frames - box.frames + 1);
    return box;
  }
};

// Sets up to `hidden` bits, with `exact` all of them, and gives how many.
template <class Source>
PYMIM_HOST_DEVICE inline int hide_blocks(Source&& candidates, int hidden, bool exact,
                                         const Board& board) {
  board.empty();
  int left = hidden;
  Box overhang{};
  uint32_t k = 0;
  for (int failures = 0; left > 0 && failures < candidates.law.tries; ++k) {
    const Box box = candidates(k, left);
    const int fresh = box.frames * box.rows * box.columns - board.count(box);
    if (fresh > 0 && fresh <= left) {
      board.set(box);
      left -= fresh;
      failures = 0;
      overhang = {};
    } else {
      ++failures;
      if (fresh > left) overhang = box;
    }
  }
  if (exact && left > 0) left = board.set_first(overhang, left);
  if (exact && left > 0) left = board.set_first(board.whole(), left);
  return hidden - left;
}

// Sets a rectangle of at least `visible` bits, cut to them in raster order, wrapped where it leaves
// the grid.
PYMIM_HOST_DEVICE inline void show_window(const WindowLaw& law, const Draw& draw, int64_t image,
                                          int visible, const Board& board) {
  board.empty();
  if (visible == 0) return;
  const Words words = rectangle_words(draw, image, kWindowWords);
  const float side = std::sqrt(static_cast<float>(visible)),
              stretch = draw_stretch(law.stretch, words.x);
  // Floats may round a whole number up: what they give stays among the sides that the aspects
  // allow.
  const int rows =
      clamp_int(static_cast<int>(std::ceil(side * stretch)), law.height.fewest, law.height.most);
  const int fewest = (visible + rows - 1) / rows;
  const int columns =
      clamp_int(static_cast<int>(std::ceil(side / stretch)),
                fewest > law.width.fewest ? fewest : law.width.fewest, law.width.most);
  const int top = below_int(words.y, law.roll ? law.rows : law.rows - rows + 1);
  const int left = below_int(words.z, law.roll ? law.columns : law.columns - columns + 1);
  for (int r = 0, rest = visible; rest > 0; ++r) {
    const int width = rest < columns ? rest : columns;
    const int row = (top + r) % law.rows;
    const int inside = width < law.columns - left ? width : law.columns - left;
    board.set({0, row, left, 1, 1, inside});
    board.set({0, row, 0, 1, 1, width - inside});
    rest -= width;
  }
}

// Where the context (number 0) or target `number` lies in attempt `attempt`.
PYMIM_HOST_DEVICE inline Box place(const TargetLaw& law, const Draw& draw, int64_t image,
                                   int attempt, int number) {
  const int block = attempt * (law.targets / 2 + 1) + number / 2;
  const Words words = rectangle_words(draw, image, kTargetWords + static_cast<uint32_t>(block));
  const int rows = number ? law.target_rows : law.context_rows;
  const int columns = number ? law.target_columns : law.context_columns;
  return {0,
          below_int(number % 2 ? words.z : words.x, law.rows - rows + law.edges),
          below_int(number % 2 ? words.w : words.y, law.columns - columns + law.edges),
          1,
          rows,
          columns};
}

// Which attempt it is, and how many targets keep the place that they drew in it.
struct Placement {
  int attempt, apart;

  PYMIM_HOST_DEVICE Box target(const TargetLaw& law, const Draw& draw, int64_t image, int t) const {
    return place(law, draw, image, attempt, 1 + (t < apart ? t : 0));
  }
};

constexpr int kAttempts = 32;

// Takes random bits away until `visible` are left.
PYMIM_HOST_DEVICE inline void trim(const Draw& draw, int64_t image, int extra, const Board& board) {
  for (uint32_t block = kTrimWords; extra > 0; ++block) {
    const Words words = rectangle_words(draw, image, block);
    const uint32_t pairs[2][2] = {{words.x, words.y}, {words.z, words.w}};
    for (int i = 0; i < 2 && extra > 0; ++i) {
      const int row = below_int(pairs[i][0], board.rows),
                column = below_int(pairs[i][1], board.columns);
      extra -= board.at(0, row, column);
      board.clear({0, row, column, 1, 1, 1});
    }
  }
}

// Sets the `visible` bits of the context outside the targets. Draws again while it has fewer than
// that; the last draw's targets then move onto the first, the last ones first, which the checks
// make sure is enough.
PYMIM_HOST_DEVICE inline Placement show_context(const TargetLaw& law, const Draw& draw,
                                                int64_t image, int visible, const Board& board) {
  for (int i = 0;; ++i) {
    const int moved = i < kAttempts ? 0 : i - kAttempts + 1;
    const Placement placement{i - moved, law.targets - moved};
    board.empty();
    board.set(place(law, draw, image, placement.attempt, 0));
    for (int t = 0; t < placement.apart; ++t) board.clear(placement.target(law, draw, image, t));
    const int extra = board.count(board.whole()) - visible;
    if (extra < 0 && placement.apart > 1) continue;
    if (law.raster)
      board.keep_first(visible);
    else
      trim(draw, image, extra, board);
    return placement;
  }
}

}  // namespace
}  // namespace pymim
