// Sums, maxima and ballots over a warp or a block, in a fixed order, so that answers repeat.
#pragma once

#include "launch.cuh"

namespace pymim::cuda {

__device__ inline int lane_id() { return static_cast<int>(threadIdx.x) % kWarp; }

template <class T, class Combine>
__device__ T warp_reduce(T value, Combine combine) {
  for (int offset = kWarp / 2; offset; offset /= 2)
    value = combine(value, __shfl_xor_sync(kAllLanes, value, offset));
  return value;
}

template <class T>
__device__ T warp_sum(T value) {
  return warp_reduce(value, [](T a, T b) { return a + b; });
}

template <class T>
__device__ T warp_max(T value) {
  return warp_reduce(value, [](T a, T b) { return a > b ? a : b; });
}

}  // namespace pymim::cuda
