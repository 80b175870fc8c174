// Masks made of rectangles: blocks that hide, one block that stays visible, and target blocks with
// a context. Each is a pure function of its Draw and of the dataset index of its image, as in
// mask.hpp.
//
// B images, N patches in the grid, V visible, M hidden, S targets, K patches in a target. Areas are
// in patches of one frame and aspect is height / width. A grid of one frame is an image.
#pragma once

#include "pymim/mask.hpp"

namespace pymim {

// Which blocks hide patches: area uniform on `area`, aspect log-uniform on `aspect`, frames uniform
// on `duration`, anywhere in the grid; lower than it and narrower, but along an axis of one. A
// block counts if it hides something new and not too much; `tries` that do not, in a row, end the
// search.
struct Blocks {
  Extent grid;
  std::array<double, 2> area;  // its upper end 0: whatever is still to be hidden
  std::array<double, 2> aspect;
  std::array<int64_t, 2> duration;
  int64_t tries;
};

// One visible rectangle of this aspect, as far as that fits; with `roll` it wraps round the edges
// of the grid.
struct Window {
  Extent grid;
  std::array<double, 2> aspect;
  bool roll;
};

// Blocks of given height and width, the same in every frame: `targets` of them to predict, and one
// context they are taken out of. Without `edges` none touches the last row or column. V patches of
// the context stay: at random, or with `raster` the first.
struct Targets {
  Extent grid;
  std::array<int64_t, 2> target, context;
  bool edges, raster;
};

// A board has a bit a patch. A row of the grid takes the next power of two of them, so that rows
// share a word and none crosses into another; rows of more than 64 patches take whole words, and so
// does a frame.
PYMIM_HOST_DEVICE constexpr int64_t board_row_bits(int64_t columns) {
  int64_t bits = 1;
  while (bits < columns && bits < 64) bits *= 2;
  return columns <= bits ? bits : (columns + 63) / 64 * 64;
}

// How many words of bits a row of `board` has.
constexpr int64_t board_words(Extent grid) {
  return grid[0] * ((grid[1] * board_row_bits(grid[2]) + 63) / 64);
}

// Blocks until exactly M patches are hidden (BEiT, Bao et al. 2022; CAE, Chen et al. 2024). Where
// the search ends before, the last block that was too large hides its first patches in raster
// order, or if there was none the grid does. index [in] [B], board [scratch] [B board_words].
void block_mask(View<const int64_t, 1> index, Draw draw, const Blocks& blocks,
                View<uint64_t, 2> board, Mask out, Stream stream = {});

// The same blocks, and no more where the search ends: at most `hidden`. boolean [out] [B N], count
// [out] [B].
void ragged_block_mask(View<const int64_t, 1> index, Draw draw, const Blocks& blocks,
                       int64_t hidden, View<uint64_t, 2> board, View<bool, 2> boolean,
                       View<int64_t, 1> count, Stream stream = {});

// All but a rectangle of V patches (CAPI, Darcet et al. 2025); the same one in every frame.
void inverse_block_mask(View<const int64_t, 1> index, Draw draw, const Window& window,
                        View<uint64_t, 2> board, Mask out, Stream stream = {});

// Targets and the context that predicts them (I-JEPA, Assran et al. 2023). targets [out] [B S K],
// ids ascending.
void multi_block_mask(View<const int64_t, 1> index, Draw draw, const Targets& targets,
                      View<uint64_t, 2> board, View<int64_t, 3> ids, Mask out, Stream stream = {});

// Height and width that all images of a step share. Block number `which` of the step; `together`
// draws area share and aspect with one random number.
std::array<int64_t, 2> block_size(Draw draw, Extent grid, std::array<double, 2> share,
                                  std::array<double, 2> aspect, uint32_t which, bool together,
                                  bool edges);

}  // namespace pymim
