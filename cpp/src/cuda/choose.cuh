// The smallest keys of a row, and the ids of a boolean row: what the policies have in common, on a
// GPU, a warp an image. Keys live where the ids will be written: see cpu/choose.hpp.
#pragma once

#include "pymim/mask.hpp"
#include "reduce.cuh"

namespace pymim::cuda {

using Word = uint32_t __attribute__((may_alias));

struct MaskRow {
  int64_t v, m, n;
  int64_t *visible, *hidden;
  bool* boolean;

  __device__ MaskRow(const Mask& mask, int64_t image)
      : v(mask.visible.shape[1]),
        m(mask.hidden.shape[1]),
        n(v + m),
        visible(mask.visible.data + image * v),
        hidden(mask.hidden.data + image * m),
        boolean(mask.boolean.data + image * n) {}

  // The same of one of several views.
  __device__ MaskRow(const Masks& masks, int64_t view, int64_t image)
      : v(masks.visible.shape[2]),
        m(masks.hidden.shape[2]),
        n(v + m),
        visible(masks.visible.data + (view * masks.visible.shape[1] + image) * v),
        hidden(masks.hidden.data + (view * masks.hidden.shape[1] + image) * m),
        boolean(masks.boolean.data + (view * masks.boolean.shape[1] + image) * n) {}

  __device__ Word* keys() const { return reinterpret_cast<Word*>(v > m ? visible : hidden); }
};

// The first n words of the role's part of one image's stream.
__device__ inline void fill_words(const Draw& draw, int64_t image, Role role, int64_t n,
                                  Word* out) {
  __syncwarp();  // other lanes may still be reading what was there
  for (int64_t first = lane_id() * 4; first < n; first += kWarp * 4) {
    const Words words =
        random_words(draw, image, first_block(role) + static_cast<uint32_t>(first / 4));
    const uint32_t four[4] = {words.x, words.y, words.z, words.w};
    for (int64_t i = first; i < n && i < first + 4; ++i) out[i] = four[i - first];
  }
  __syncwarp();
}

__device__ inline int64_t count_below(const Word* keys, int64_t n, uint32_t bound) {
  int count = 0;
  for (int64_t i = lane_id(); i < n; i += kWarp) count += keys[i] < bound;
  return warp_sum(count);
}

// The smallest keys of a row: all below `bound`, and of those that equal it the first `ties`.
struct Smallest {
  uint32_t bound;
  int64_t ties;
};

// Of n keys the `count` smallest.
__device__ inline Smallest smallest(const Word* keys, int64_t n, int64_t count) {
  uint64_t low = 0, high = uint64_t{1} << 32;
  int64_t below_low = 0, below_high = n;
  for (bool halve = false; below_low != count && high - low > 1; halve = !halve) {
    const uint64_t width = high - low;
    const uint64_t in_proportion =
        static_cast<uint64_t>(count - below_low) * width / (below_high - below_low);
    const uint64_t step = halve ? width / 2 : in_proportion;
    const uint64_t middle = low + (step < 1 ? 1 : step >= width ? width - 1 : step);
    const int64_t below_middle = count_below(keys, n, static_cast<uint32_t>(middle));
    if (below_middle <= count) {
      low = middle;
      below_low = below_middle;
    } else {
      high = middle;
      below_high = below_middle;
    }
  }
  return {static_cast<uint32_t>(low), count - below_low};
}

// Whether this lane's key, where it `has` one, is among the smallest; keys are asked for in their
// order.
__device__ inline bool takes(Smallest& chosen, bool has, uint32_t key) {
  const bool tie = has && key == chosen.bound;
  const unsigned tied = __ballot_sync(kAllLanes, tie);
  const bool first = tie && __popc(tied & ((1u << lane_id()) - 1)) < chosen.ties;
  chosen.ties -= __popc(tied);
  return first || (has && key < chosen.bound);
}

// Flips the flags of the `count` smallest keys. Each lane flips flags lane, lane + 32, ...: the
// same as it sets anywhere else.
__device__ inline void flip_smallest(const Word* keys, int64_t n, int64_t count, bool* flags) {
  Smallest chosen = smallest(keys, n, count);
  for (int64_t first = 0; first < n; first += kWarp) {
    const int64_t i = first + lane_id();
    const bool taken = takes(chosen, i < n, i < n ? keys[i] : 0);
    if (i < n) flags[i] ^= taken;
  }
}

// Keys are of those patches, in their order, whose flags are false: sets the flags of all but the
// smallest.
__device__ inline void hide_larger(const Word* keys, Smallest chosen, int64_t n, bool* flags) {
  int64_t rest = 0;
  for (int64_t first = 0; first < n; first += kWarp) {
    const int64_t i = first + lane_id();
    const bool open = i < n && !flags[i];
    const unsigned opened = __ballot_sync(kAllLanes, open);
    const int64_t j = rest + __popc(opened & ((1u << lane_id()) - 1));
    const bool taken = takes(chosen, open, open ? keys[j] : 0);
    if (open) flags[i] = !taken;
    rest += __popc(opened);
  }
}

__device__ inline void set_flags(bool* flags, int64_t n, bool value) {
  for (int64_t i = lane_id(); i < n; i += kWarp) flags[i] = value;
}

// Ids beyond a row's end are dropped: a coarse mask given to expand_mask is not checked on a GPU.
__device__ inline void write_ids(const MaskRow& row) {
  __syncwarp();
  int64_t shown = 0, hid = 0;
  const unsigned lanes_below = (1u << lane_id()) - 1;
  for (int64_t first = 0; first < row.n; first += kWarp) {
    const int64_t i = first + lane_id();
    const bool inside = i < row.n, hides = inside && row.boolean[i];
    const unsigned hiding = __ballot_sync(kAllLanes, hides),
                   showing = __ballot_sync(kAllLanes, inside && !hides);
    const int64_t to =
        hides ? hid + __popc(hiding & lanes_below) : shown + __popc(showing & lanes_below);
    if (inside && to < (hides ? row.m : row.v)) (hides ? row.hidden : row.visible)[to] = i;
    hid += __popc(hiding);
    shown += __popc(showing);
  }
}

// Cells of a coarse grid, each `unit` cells of a fine one.
__device__ inline void enlarge(const bool* coarse, const Extent& grid, const Extent& unit,
                               bool* fine) {
  __syncwarp();
  const int64_t rows = grid[1] / unit[1], columns = grid[2] / unit[2];
  for (int64_t i = lane_id(); i < grid[0] * grid[1] * grid[2]; i += kWarp) {
    const int64_t x = i % grid[2], y = i / grid[2] % grid[1], t = i / (grid[2] * grid[1]);
    fine[i] = coarse[(t / unit[0] * rows + y / unit[1]) * columns + x / unit[2]];
  }
}

}  // namespace pymim::cuda
