// The mask policies on a GPU: a warp an image.
#include "../mask.hpp"

#include "reduce.cuh"

namespace pymim::cuda {
namespace {

constexpr int kWarpsPerBlock = 4;

__device__ void fill_keys(const Draw& draw, int64_t image, int64_t n, uint32_t* keys) {
  for (int64_t first = lane_id() * 4; first < n; first += kWarp * 4) {
    const Words words = random_words(draw, image, static_cast<uint32_t>(first / 4));
    const uint32_t four[4] = {words.x, words.y, words.z, words.w};
    for (int64_t i = first; i < n && i < first + 4; ++i) keys[i] = four[i - first];
  }
  __syncwarp();
}

__device__ int64_t count_below(const uint32_t* keys, int64_t n, uint64_t bound) {
  int count = 0;
  for (int64_t i = lane_id(); i < n; i += kWarp) count += keys[i] < bound;
  return warp_sum(count);
}

__device__ uint32_t nth_key(const uint32_t* keys, int64_t n, int64_t count) {
  uint64_t threshold = 0;
  for (uint64_t bit = uint64_t{1} << 31; bit; bit >>= 1)
    if (count_below(keys, n, threshold + bit) < count) threshold += bit;
  return static_cast<uint32_t>(threshold);
}

__device__ void split(const uint32_t* keys, int64_t image, const Mask& out) {
  const int64_t v = out.visible.shape[1], m = out.hidden.shape[1], n = v + m;
  int64_t *visible = out.visible.data + image * v, *hidden = out.hidden.data + image * m;
  bool* boolean = out.boolean.data + image * n;
  const uint32_t threshold = v ? nth_key(keys, n, v) : 0;
  int ties = v ? static_cast<int>(v - count_below(keys, n, threshold)) : 0;
  const unsigned lanes_below = (1u << lane_id()) - 1;
  for (int64_t first = 0; first < n; first += kWarp) {
    const int64_t i = first + lane_id();
    const bool inside = i < n;
    const bool tie = inside && keys[i] == threshold;
    const unsigned tied = __ballot_sync(kAllLanes, tie);
    const bool seen = inside && ((v && keys[i] < threshold) || (tie && __popc(tied & lanes_below) < ties));
    const unsigned seen_lanes = __ballot_sync(kAllLanes, seen);
    const unsigned hidden_lanes = __ballot_sync(kAllLanes, inside && !seen);
    if (inside) {
      boolean[i] = !seen;
      if (seen)
        visible[__popc(seen_lanes & lanes_below)] = i;
      else
        hidden[__popc(hidden_lanes & lanes_below)] = i;
    }
    ties -= __popc(tied);
    visible += __popc(seen_lanes);
    hidden += __popc(hidden_lanes);
  }
}

__global__ void uniform_kernel(View<const int64_t, 1> index, Draw draw, View<uint32_t, 2> keys, Mask out) {
  const int64_t image = int64_t{blockIdx.x} * kWarpsPerBlock + threadIdx.x / kWarp;
  if (image >= index.shape[0]) return;
  const int64_t n = keys.shape[1];
  fill_keys(draw, index.data[image], n, keys.data + image * n);
  split(keys.data + image * n, image, out);
}

}  // namespace

void uniform_mask(View<const int64_t, 1> index, Draw draw, View<uint32_t, 2> keys, Mask out, Stream stream) {
  const dim3 grid(static_cast<unsigned>(divide_up(index[0], kWarpsPerBlock)));
  launch(uniform_kernel, grid, dim3(kWarpsPerBlock * kWarp), 0, stream, index, draw, keys, out);
}

}  // namespace pymim::cuda
