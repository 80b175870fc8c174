#pragma once

#include "kernels.hpp"
#include "pymim/block.hpp"

namespace pymim {

// Log-uniform aspects as kernels draw them: log2 of the square root of one is uniform on [low, low
// + span).
struct Stretch {
  float low, span;
};

// A public law, checked and with what all images share worked out once.
struct BlockLaw {
  int frames, rows, columns;
  int tallest, widest;  // the most rows and columns of a block
  float smallest, largest;
  Stretch stretch;
  int shortest, longest, tries;
};

// How many rows or columns a window has at least and at most, exactly.
struct Span {
  int fewest, most;
};

struct WindowLaw {
  int rows, columns;
  Stretch stretch;
  Span height, width;
  bool roll;
};

struct TargetLaw {
  int rows, columns, target_rows, target_columns, context_rows, context_columns, targets;
  bool edges, raster;
};

}  // namespace pymim

PYMIM_EACH_PLACE(void block_mask(View<const int64_t, 1> index, Draw draw, BlockLaw law,
                                 View<uint64_t, 2> board, Mask out, Stream stream);
                 void ragged_block_mask(View<const int64_t, 1> index, Draw draw, BlockLaw law,
                                        int64_t hidden, View<uint64_t, 2> board,
                                        View<bool, 2> boolean, View<int64_t, 1> count,
                                        Stream stream);
                 void inverse_block_mask(View<const int64_t, 1> index, Draw draw, WindowLaw law,
                                         View<uint64_t, 2> board, Mask out, Stream stream);
                 void multi_block_mask(View<const int64_t, 1> index, Draw draw, TargetLaw law,
                                       View<uint64_t, 2> board, View<int64_t, 3> ids, Mask out,
                                       Stream stream);)
