// The mask policies on a GPU: a warp an image, one launch each.
#include "../mask.hpp"

#include "../budget.hpp"
#include "choose.cuh"

namespace pymim::cuda {
namespace {

// keys[i] = key(score i of the image, keys[i]), each lane its own.
template <class Key>
__device__ void score_keys(const PatchScores& scores, int64_t image, Word* keys, Key key) {
  const int64_t n = scores.shape[1];
  const auto from = [&](const auto* values) {
    for (int64_t i = lane_id(); i < n; i += kWarp)
      keys[i] = key(to_float(values[image * n + i]), keys[i]);
  };
  if (scores.type == PatchScores::f32) from(static_cast<const float*>(scores.data));
  if (scores.type == PatchScores::bf16) from(static_cast<const bfloat16*>(scores.data));
  if (scores.type == PatchScores::f16) from(static_cast<const float16*>(scores.data));
  __syncwarp();
}

// Shows the V smallest keys, or hides the M smallest.
__device__ void choose(const MaskRow& row, Drawn side) {
  set_flags(row.boolean, row.n, side == Drawn::visible);
  flip_smallest(row.keys(), row.n, side == Drawn::visible ? row.v : row.m, row.boolean);
}

__global__ void uniform_kernel(Index index, Draw draw, Extent grid, Extent unit, Mask out) {
  const int64_t image = this_image();
  if (image >= index.shape[0]) return;
  const MaskRow row(out, image);
  Word* keys = row.keys();
  const int64_t size = unit[0] * unit[1] * unit[2], units = row.n / size;
  // Of units larger than a patch there are at most N / 2: their flags fit behind their keys.
  bool* flags = size == 1 ? row.boolean : reinterpret_cast<bool*>(keys + units);
  fill_words(draw, index.data[image], Role::uniform, units, keys);
  set_flags(flags, units, true);
  flip_smallest(keys, units, row.v / size, flags);
  if (size > 1) enlarge(flags, grid, unit, row.boolean);
  write_ids(row);
}

__global__ void filtered_kernel(Index index, Draw draw, View<const float, 3> bank, int64_t rows,
                                int64_t columns, Mask out) {
  const int64_t image = this_image();
  if (image >= index.shape[0]) return;
  const MaskRow row(out, image);
  const Crop crop(random_words(draw, index.data[image], first_block(Role::filtered)), bank, rows,
                  columns);
  for (int64_t i = lane_id(); i < row.n; i += kWarp)
    row.keys()[i] = descending(crop.at(bank, rows, columns, i / columns, i % columns));
  __syncwarp();
  choose(row, Drawn::visible);
  write_ids(row);
}

__global__ void weighted_kernel(Index index, Draw draw, PatchScores weights, Drawn drawn,
                                Mask out) {
  const int64_t image = this_image();
  if (image >= index.shape[0]) return;
  const MaskRow row(out, image);
  fill_words(draw, index.data[image], Role::weighted, row.n, row.keys());
  score_keys(weights, image, row.keys(),
             [](float weight, uint32_t word) { return weighted_key(weight, word); });
  choose(row, drawn);
  write_ids(row);
}

__global__ void ranked_kernel(Index index, Draw draw, PatchScores scores, int64_t hard, Hide hide,
                              Mask out) {
  const int64_t image = this_image();
  if (image >= index.shape[0]) return;
  const MaskRow row(out, image);
  Word* keys = row.keys();
  const uint32_t reverse = hide == Hide::lowest ? 0xffffffffu : 0u;
  score_keys(scores, image, keys,
             [=](float score, uint32_t) { return descending(score) ^ reverse; });
  set_flags(row.boolean, row.n, false);
  flip_smallest(keys, row.n, hard, row.boolean);
  const int64_t rest = row.n - hard;
  fill_words(draw, index.data[image], Role::ranked, rest, keys);
  hide_larger(keys, smallest(keys, rest, row.v), row.n, row.boolean);
  write_ids(row);
}

__global__ void priority_kernel(Index index, Draw draw, PatchScores priority, Mask out) {
  const int64_t image = this_image();
  if (image >= index.shape[0]) return;
  const MaskRow row(out, image);
  fill_words(draw, index.data[image], Role::priority, row.n, row.keys());
  score_keys(priority, image, row.keys(),
             [](float value, uint32_t word) { return priority_key(value, word); });
  choose(row, Drawn::hidden);
  write_ids(row);
}

__global__ void disjoint_kernel(Index index, Draw draw, int64_t covered, Masks out) {
  const int64_t image = this_image();
  if (image >= index.shape[0]) return;
  const MaskRow first(out, 0, image);
  fill_words(draw, index.data[image], Role::disjoint, first.n, first.keys());
  // The keys lie in the first view's row, so its ids come last.
  for (int64_t view = out.boolean.shape[0]; view-- > 0;) {
    const MaskRow row(out, view, image);
    const Arc arc(view, out.boolean.shape[0], row.m, covered);
    set_flags(row.boolean, row.n, false);
    flip_smallest(first.keys(), row.n, arc.begin, row.boolean);
    flip_smallest(first.keys(), row.n, arc.end, row.boolean);
    flip_smallest(first.keys(), row.n, arc.wrapped, row.boolean);
    write_ids(row);
  }
}

__global__ void budget_kernel(Index index, Draw draw, Budget budget, Mask out) {
  const int64_t image = this_image();
  if (image >= index.shape[0]) return;
  const MaskRow row(out, image);
  int64_t counts[Budget::kMost], first = 0;
  share_budget(draw, index.data[image], budget, row.v, counts);  // every lane the same
  fill_words(draw, index.data[image], Role::budget, row.n, row.keys());
  for (int g = 0; g < budget.grids; first += budget.sizes[g++]) {
    set_flags(row.boolean + first, budget.sizes[g], true);
    flip_smallest(row.keys() + first, budget.sizes[g], counts[g], row.boolean + first);
  }
  write_ids(row);
}

// A thread an image: each choice depends on those before it.
__global__ void subset_kernel(Index index, Draw draw, View<const int64_t, 2> ids,
                              View<int64_t, 2> out) {
  const int64_t image = int64_t{blockIdx.x} * kWarp + threadIdx.x;
  if (image >= index.shape[0]) return;
  const int64_t m = ids.shape[1], k = out.shape[1];
  int64_t* to = out.data + image * k;
  uint32_t words[4];
  for (int64_t i = 0, left = k; left > 0; ++i) {
    if (i % 4 == 0) {
      const uint32_t block = first_block(Role::subset) + static_cast<uint32_t>(i / 4);
      const Words four = random_words(draw, index.data[image], block);
      words[0] = four.x, words[1] = four.y, words[2] = four.z, words[3] = four.w;
    }
    if (!keeps(words[i % 4], left, m - i)) continue;
    *to++ = ids.data[image * m + i];
    --left;
  }
}

__global__ void expand_kernel(View<const bool, 2> coarse, Extent grid, Extent unit, Mask out) {
  const int64_t image = this_image();
  if (image >= coarse.shape[0]) return;
  const MaskRow row(out, image);
  enlarge(coarse.data + image * coarse.shape[1], grid, unit, row.boolean);
  write_ids(row);
}

}  // namespace

void uniform_mask(Index index, Draw draw, Extent grid, Extent unit, Mask out, Stream stream) {
  launch_warps(uniform_kernel, index[0], stream, index, draw, grid, unit, out);
}

void filtered_mask(Index index, Draw draw, View<const float, 3> bank, int64_t rows, int64_t columns,
                   Mask out, Stream stream) {
  launch_warps(filtered_kernel, index[0], stream, index, draw, bank, rows, columns, out);
}

void weighted_mask(Index index, Draw draw, PatchScores weights, Drawn drawn, Mask out,
                   Stream stream) {
  launch_warps(weighted_kernel, index[0], stream, index, draw, weights, drawn, out);
}

void ranked_mask(Index index, Draw draw, PatchScores scores, int64_t hard, Hide hide, Mask out,
                 Stream stream) {
  launch_warps(ranked_kernel, index[0], stream, index, draw, scores, hard, hide, out);
}

void priority_mask(Index index, Draw draw, PatchScores priority, Mask out, Stream stream) {
  launch_warps(priority_kernel, index[0], stream, index, draw, priority, out);
}

void disjoint_masks(Index index, Draw draw, int64_t covered, Masks out, Stream stream) {
  launch_warps(disjoint_kernel, index[0], stream, index, draw, covered, out);
}

void budget_mask(Index index, Draw draw, const Budget& budget, Mask out, Stream stream) {
  launch_warps(budget_kernel, index[0], stream, index, draw, budget, out);
}

void subset_ids(Index index, Draw draw, View<const int64_t, 2> ids, View<int64_t, 2> out,
                Stream stream) {
  const dim3 grid(static_cast<unsigned>(divide_up(index[0], kWarp)));
  launch(subset_kernel, grid, dim3(kWarp), 0, stream, index, draw, ids, out);
}

void expand_mask(View<const bool, 2> coarse, Extent grid, Extent unit, Mask out, Stream stream) {
  launch_warps(expand_kernel, coarse[0], stream, coarse, grid, unit, out);
}

}  // namespace pymim::cuda
