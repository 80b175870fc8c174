// The nearest centroid of each row, exactly, from tensor-core scores that are never stored: the method and its
// error bound are those of cpu/nearest.hpp. A warp takes 16 rows and goes through the centroids 64 at a time;
// what the bound leaves open it settles at once by the distance itself.
#pragma once

#include <cuda_bf16.h>
#include <mma.h>

#include "../arena.hpp"
#include "element.cuh"
#include "pymim/kmeans.hpp"
#include "reduce.cuh"

namespace pymim::cuda {
namespace {

constexpr int kTile = 16;         // of a matrix fragment, each way
constexpr int kPanel = 64;        // centroids scored at a time
constexpr int kScoringWarps = 4;  // of a block
constexpr float kOutward = 1.001f;

__device__ int64_t warp_index() { return int64_t{blockIdx.x} * (blockDim.x / kWarp) + threadIdx.x / kWarp; }

// 1 / |x|, or zero; NaN where not finite. All lanes of the warp get it.
template <class T>
__device__ float inverse_norm(const T* x, int64_t d) {
  float square = 0;
  for (int64_t i = lane_id(); i < d; i += kWarp) square += to_float(x[i]) * to_float(x[i]);
  const float norm = sqrtf(warp_sum(square));
  return norm > 0 && norm < CUDART_INF_F ? 1 / norm : 0 * norm;
}

// The distance by its formula, a warp a pair. `scale` makes x a unit row under cosine.
template <class T>
__device__ float distance(const T* x, float scale, const float* c, int64_t d, Metric metric) {
  float sum = 0;
  for (int64_t i = lane_id(); i < d; i += kWarp) {
    const float value = to_float(x[i]) * scale;
    sum += metric == Metric::l2 ? (value - c[i]) * (value - c[i]) : value * c[i];
  }
  sum = warp_sum(sum);
  if (metric == Metric::l2) return sum;
  return 1 - sum < 0 ? 0 : 1 - sum;  // rounding must not make it negative; NaN stays
}

// Rows as the tensor cores take them: centred, rounded to bfloat16, padded with zeros.
struct Rounded {
  int64_t count, padded, width;  // rows, and both extents as multiples of a tile
  __nv_bfloat16* rows;           // [padded width]
  float* norms;                  // [padded]
  float* residuals;              // [padded] norms of what rounding lost
  float* starts;                 // [padded] -|c|^2 / 2, or zero under cosine; -infinity where padded

  Rounded(Arena& arena, int64_t count, int64_t d, int64_t multiple)
      : count(count), padded(divide_up(count, multiple) * multiple), width(divide_up(d, kTile) * kTile) {
    rows = arena.take<__nv_bfloat16>(padded * width);
    norms = arena.take<float>(padded);
    residuals = arena.take<float>(padded);
    starts = arena.take<float>(padded);
  }
};

__global__ void mean_of_centroids_kernel(View<const float, 2> centroids, Metric metric, float* mean) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x, d = centroids.shape[1];
  if (i >= d) return;
  const float share = 1 / static_cast<float>(centroids.shape[0]);
  float sum = 0;
  for (int64_t k = 0; metric == Metric::l2 && k < centroids.shape[0]; ++k)
    sum += share * centroids.data[k * d + i];
  mean[i] = sum;
}

template <class T>
__global__ void round_kernel(View<const T, 2> from, Metric metric, const float* mean, Rounded to) {
  const int64_t row = warp_index(), d = from.shape[1];
  if (row >= to.padded) return;
  const bool real = row < to.count;
  const float scale = real && metric == Metric::cosine ? inverse_norm(from.data + row * d, d) : 1;
  float square = 0, lost = 0;
  for (int64_t i = lane_id(); i < to.width; i += kWarp) {
    const float value = real && i < d ? to_float(from.data[row * d + i]) * scale - mean[i] : 0;
    const __nv_bfloat16 rounded = __float2bfloat16(value);
    const float residual = value - __bfloat162float(rounded);
    to.rows[row * to.width + i] = rounded;
    square += value * value;
    lost += residual * residual;
  }
  square = warp_sum(square);
  lost = warp_sum(lost);
  if (lane_id()) return;
  const bool finite = square < CUDART_INF_F;  // beside a centroid that is not, everything is left open
  to.norms[row] = finite ? kOutward * sqrtf(square) : 1e38f;
  to.residuals[row] = finite ? kOutward * sqrtf(lost) : 1e38f;
  to.starts[row] = !real ? -CUDART_INF_F : (metric == Metric::l2 ? -0.5f * square : 0);
}

// scores[16 64] = rows . centroids of a panel, without their starts.
__device__ void score(const Rounded& points, int64_t row, const Rounded& centroids, int64_t panel,
                      float* scores) {
  using namespace nvcuda::wmma;
  fragment<accumulator, kTile, kTile, kTile, float> sums[kPanel / kTile];
  fragment<matrix_a, kTile, kTile, kTile, __nv_bfloat16, row_major> left;
  fragment<matrix_b, kTile, kTile, kTile, __nv_bfloat16, col_major> right;
  const unsigned width = static_cast<unsigned>(points.width);
  for (auto& sum : sums) fill_fragment(sum, 0.f);
  for (int64_t depth = 0; depth < points.width; depth += kTile) {
    load_matrix_sync(left, points.rows + row * points.width + depth, width);
#pragma unroll
    for (int j = 0; j < kPanel / kTile; ++j) {
      load_matrix_sync(right, centroids.rows + (panel + j * kTile) * points.width + depth, width);
      mma_sync(sums[j], left, right, sums[j]);
    }
  }
#pragma unroll
  for (int j = 0; j < kPanel / kTile; ++j)
    store_matrix_sync(scores + j * kTile, sums[j], kPanel, mem_row_major);
  __syncwarp();
}

// Where one row stands; every lane of the warp has the same.
struct Standing {
  float least, distance;  // the best score is at least `least`
  int64_t label;
};

template <class T>
__global__ void nearest_kernel(View<const T, 2> points, const float* exact, Metric metric, Rounded rows,
                               Rounded centroids, View<int64_t, 1> labels, View<float, 1> distances) {
  __shared__ float all_scores[kScoringWarps][kTile * kPanel];
  __shared__ Standing all_standings[kScoringWarps][kTile];
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int64_t first = warp_index() * kTile, d = points.shape[1];
  if (first >= rows.padded) return;
  float* scores = all_scores[warp];
  Standing* standings = all_standings[warp];
  if (lane_id() < kTile) standings[lane_id()] = {-CUDART_INF_F, CUDART_INF_F, -1};
  __syncwarp();
  const float terms = static_cast<float>(d + 8), summing = 8 * terms * 0x1p-24f, tiny = 4 * terms * 0x1p-126f;
  for (int64_t panel = 0; panel < centroids.padded; panel += kPanel) {
    score(rows, first, centroids, panel, scores);
    const int64_t low = panel + lane_id(), high = low + kWarp;
    const float norm = warp_max(fmaxf(centroids.norms[low], centroids.norms[high]));
    const float lost = warp_max(fmaxf(centroids.residuals[low], centroids.residuals[high]));
    const float low_start = centroids.starts[low], high_start = centroids.starts[high];
    for (int i = 0; i < kTile && first + i < rows.count; ++i) {
      const int64_t row = first + i;
      Standing now = standings[i];
      const float own = rows.norms[row], own_lost = rows.residuals[row], reach = own + norm;
      const float error =
          kOutward * (own_lost * norm + (own + own_lost) * lost + summing * reach * reach + tiny);
      const float a = scores[i * kPanel + lane_id()] + low_start,
                  b = scores[i * kPanel + kWarp + lane_id()] + high_start;
      now.least = fmaxf(now.least, warp_max(fmaxf(a, b)) - error);
      const float bound = now.least - error;
      const uint64_t low_open = __ballot_sync(kAllLanes, a >= bound && low < centroids.count);
      const uint64_t high_open = __ballot_sync(kAllLanes, b >= bound && high < centroids.count);
      const float scale =
          (low_open | high_open) && metric == Metric::cosine ? inverse_norm(points.data + row * d, d) : 1;
      for (uint64_t open = low_open | high_open << 32; open; open &= open - 1) {
        const int64_t k = panel + __ffsll(static_cast<long long>(open)) - 1;
        const float other = distance(points.data + row * d, scale, exact + k * d, d, metric);
        if (other < now.distance) now.distance = other, now.label = k;
      }
      __syncwarp();
      if (lane_id() == 0) standings[i] = now;
      __syncwarp();
    }
  }
  if (lane_id() >= kTile || first + lane_id() >= rows.count) return;
  const Standing final = standings[lane_id()];
  labels.data[first + lane_id()] = final.label;
  distances.data[first + lane_id()] = final.label < 0 ? CUDART_NAN_F : final.distance;
}

}  // namespace
}  // namespace pymim::cuda
