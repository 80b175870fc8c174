// The block policies on a GPU: a warp an image. Its first lane draws the boxes, by the code that
// the CPU runs; then all lanes write flags and ids.
#include "../block.hpp"

#include "../rectangles.hpp"
#include "choose.cuh"

namespace pymim::cuda {
namespace {

// Bits to flags, over and over until all n patches have one.
__device__ void unpack(const Board& board, bool flip, int64_t n, bool* flags) {
  __syncwarp();
  const int64_t patches = int64_t{board.frames} * board.rows * board.columns;
  for (int64_t i = lane_id(); i < n; i += kWarp) {
    const int patch = static_cast<int>(i % patches);
    const int row = patch / board.columns;
    flags[i] = board.at(row / board.rows, row % board.rows, patch % board.columns) != flip;
  }
}

// The ids of one box of a frame, in every frame.
__device__ void write_box(const Box& box, const TargetLaw& law, int64_t frames, int64_t* ids) {
  const int size = box.rows * box.columns;
  for (int64_t i = lane_id(); i < frames * size; i += kWarp) {
    const int patch = static_cast<int>(i % size);
    const int64_t row = i / size * law.rows + box.row + patch / box.columns;
    ids[i] = row * law.columns + box.column + patch % box.columns;
  }
}

__global__ void block_kernel(View<const int64_t, 1> index, Draw draw, BlockLaw law,
                             View<uint64_t, 2> board, Mask out) {
  const int64_t image = this_image();
  if (image >= index.shape[0]) return;
  const MaskRow row(out, image);
  const Board bits(board.data + image * board.shape[1], law.frames, law.rows, law.columns);
  if (lane_id() == 0)
    hide_blocks(Candidates{law, draw, index.data[image]}, static_cast<int>(row.m), true, bits);
  unpack(bits, false, row.n, row.boolean);
  write_ids(row);
}

__global__ void ragged_kernel(View<const int64_t, 1> index, Draw draw, BlockLaw law, int hidden,
                              View<uint64_t, 2> board, View<bool, 2> boolean,
                              View<int64_t, 1> count) {
  const int64_t image = this_image();
  if (image >= index.shape[0]) return;
  const Board bits(board.data + image * board.shape[1], law.frames, law.rows, law.columns);
  if (lane_id() == 0)
    count.data[image] = hide_blocks(Candidates{law, draw, index.data[image]}, hidden, false, bits);
  unpack(bits, false, boolean.shape[1], boolean.data + image * boolean.shape[1]);
}

__global__ void inverse_kernel(View<const int64_t, 1> index, Draw draw, WindowLaw law,
                               View<uint64_t, 2> board, Mask out) {
  const int64_t image = this_image();
  if (image >= index.shape[0]) return;
  const MaskRow row(out, image);
  const int64_t frames = row.n / (law.rows * law.columns);
  const Board bits(board.data + image * board.shape[1], 1, law.rows, law.columns);
  if (lane_id() == 0)
    show_window(law, draw, index.data[image], static_cast<int>(row.v / frames), bits);
  unpack(bits, true, row.n, row.boolean);
  write_ids(row);
}

__global__ void multi_kernel(View<const int64_t, 1> index, Draw draw, TargetLaw law,
                             View<uint64_t, 2> board, View<int64_t, 3> ids, Mask out) {
  const int64_t image = this_image();
  if (image >= index.shape[0]) return;
  const MaskRow row(out, image);
  const int64_t frames = row.n / (law.rows * law.columns);
  const Board bits(board.data + image * board.shape[1], 1, law.rows, law.columns);
  Placement placement{};
  if (lane_id() == 0)
    placement = show_context(law, draw, index.data[image], static_cast<int>(row.v / frames), bits);
  placement = {__shfl_sync(kAllLanes, placement.attempt, 0),
               __shfl_sync(kAllLanes, placement.apart, 0)};
  for (int t = 0; t < law.targets; ++t)
    write_box(placement.target(law, draw, index.data[image], t), law, frames,
              ids.data + (image * law.targets + t) * ids.shape[2]);
  unpack(bits, true, row.n, row.boolean);
  write_ids(row);
}

}  // namespace

void block_mask(View<const int64_t, 1> index, Draw draw, BlockLaw law, View<uint64_t, 2> board,
                Mask out, Stream stream) {
  launch_warps(block_kernel, index[0], stream, index, draw, law, board, out);
}

void ragged_block_mask(View<const int64_t, 1> index, Draw draw, BlockLaw law, int64_t hidden,
                       View<uint64_t, 2> board, View<bool, 2> boolean, View<int64_t, 1> count,
                       Stream stream) {
  launch_warps(ragged_kernel, index[0], stream, index, draw, law, static_cast<int>(hidden), board,
               boolean, count);
}

void inverse_block_mask(View<const int64_t, 1> index, Draw draw, WindowLaw law,
                        View<uint64_t, 2> board, Mask out, Stream stream) {
  launch_warps(inverse_kernel, index[0], stream, index, draw, law, board, out);
}

void multi_block_mask(View<const int64_t, 1> index, Draw draw, TargetLaw law,
                      View<uint64_t, 2> board, View<int64_t, 3> ids, Mask out, Stream stream) {
  launch_warps(multi_kernel, index[0], stream, index, draw, law, board, ids, out);
}

}  // namespace pymim::cuda
