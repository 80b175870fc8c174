// The nearest centroid of each row, exactly, from scores that are never stored: the method and its
// error bounds are those of cpu/nearest.hpp. A block takes 128 rows and goes through the centroids
// 64 at a time, on the tensor cores; of what the bound leaves open a warp computes the distances
// at once. A block that finds too much left open, as where many centroids lie close
// together, gives its rows up to a second launch, which scores them in float: that takes longer and
// leaves all but ties settled. The answer is the same from either.
#pragma once

#include "../arena.hpp"
#include "pymim/kmeans.hpp"
#include "tile.cuh"

namespace pymim::cuda {
namespace {

constexpr float kOutward = 1.001f;
constexpr int64_t kGivenUp = -2;  // the label of rows for the second launch

__device__ int64_t warp_index() {
  return int64_t{blockIdx.x} * (blockDim.x / kWarp) + threadIdx.x / kWarp;
}

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

// Rows as they are scored: centred, and for the tensor cores rounded to bfloat16, padded with
// zeros.
struct Rounded {
  int64_t count, padded, width;  // rows, as a multiple of a tile's
  bfloat16* rows;                // [padded width]
  float* scales;                 // [padded] what makes the row a unit row under cosine, else 1
  float* norms;                  // [padded]
  float* residuals;              // [padded] norms of what rounding lost
  float* starts;  // [padded] -|c|^2 / 2, or zero under cosine; -infinity where padded

  Rounded(Arena& arena, int64_t count, int64_t d, int64_t multiple)
      : count(count), padded(divide_up(count, multiple) * multiple), width(divide_up(d, 8) * 8) {
    rows = arena.take<bfloat16>(padded * width);
    scales = arena.take<float>(padded);
    norms = arena.take<float>(padded);
    residuals = arena.take<float>(padded);
    starts = arena.take<float>(padded);
  }

  Rows<bfloat16> values() const { return {rows, padded, width}; }
};

// The same without rounding, read in place.
template <class T>
struct Centred {
  const T* data;
  int64_t count, width;
  const float *scales, *mean;  // scales absent where the rows are taken as they are

  __device__ float operator()(int64_t row, int64_t i) const {
    if (row >= count || i >= width) return 0;
    return to_float(data[row * width + i]) * (scales ? scales[row] : 1) - mean[i];
  }
};

__global__ void mean_of_centroids_kernel(View<const float, 2> centroids, Metric metric,
                                         float* mean) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x, d = centroids.shape[1];
  if (i >= d) return;
  const float weight = 1 / static_cast<float>(centroids.shape[0]);
  float sum = 0;
  for (int64_t k = 0; metric == Metric::l2 && k < centroids.shape[0]; ++k)
    sum += weight * centroids.data[k * d + i];
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
    const bfloat16 rounded{__bfloat16_as_ushort(__float2bfloat16(value))};
    const float residual = value - to_float(rounded);
    to.rows[row * to.width + i] = rounded;
    square += value * value;
    lost += residual * residual;
  }
  square = warp_sum(square);
  lost = warp_sum(lost);
  if (lane_id()) return;
  to.scales[row] = scale;
  // A centroid that is not finite leaves everything open.
  const bool finite = square < CUDART_INF_F;
  to.norms[row] = finite ? kOutward * sqrtf(square) : 1e38f;
  to.residuals[row] = finite ? kOutward * sqrtf(lost) : 1e38f;
  to.starts[row] = !real ? -CUDART_INF_F : (metric == Metric::l2 ? -0.5f * square : 0);
}

// How far scores can be from the truth, with x and c the centred row and centroid, reach = |x| +
// |c|, and u = 2^-24. Summing in float rounds d times, at u |x| |c| <= u reach^2 / 4 each, and
// |c|^2 / 2 and the distance, which warps sum, d / 32 + 8 times at u reach^2 / 2; for tensor cores,
// which truncate, many times that is allowed.
struct Errors {
  float summing, tiny;

  __device__ Errors(int64_t d, bool rounded) {
    const float terms = static_cast<float>(d + 8);
    summing = (rounded ? 8 * terms : 0.5f * terms + 12) * 0x1p-24f;
    tiny = 4 * terms * 0x1p-126f;
  }

  // For a row and a centroid of these norms, where rounding has lost so much of each.
  __device__ float operator()(float own, float own_lost, float norm, float lost) const {
    const float reach = own + norm;
    return kOutward * (own_lost * norm + (own + own_lost) * lost + summing * reach * reach + tiny);
  }
};

// What a thread knows so far of the nearest centroid of its row.
struct NearestSoFar {
  float least, distance;  // the best score is at least `least`
  int64_t label;
};

// A warp's search, for the rows of its lanes.
template <class T>
struct Search {
  View<const T, 2> points;
  const float* exact;
  Metric metric;
  Rounded rows, centroids;

  // Computes the distances of the centroids of a panel that can be the nearest; returns how many it
  // took. `bound` is what a score must reach, for the row of each lane. Why so: a lane scores a
  // row, but a distance is a sum that all lanes share; so the warp takes its open rows one by one.
  // It buys exact labels from scores rounded to bfloat16.
  template <class Tile>
  __device__ int rescore_candidates(const Tile& tile, int64_t first, int64_t panel, float bound,
                                    bool open, NearestSoFar& found) const {
    const int64_t d = points.shape[1], low = panel + lane_id(), high = low + kWarp;
    const float low_start = centroids.starts[low], high_start = centroids.starts[high];
    int taken = 0;
    for (unsigned left = __ballot_sync(kAllLanes, open); left; left &= left - 1) {
      const int lane = __ffs(static_cast<int>(left)) - 1;
      const int64_t row = first + lane;
      const float wanted = __shfl_sync(kAllLanes, bound, lane);
      NearestSoFar now{0, __shfl_sync(kAllLanes, found.distance, lane),
                       __shfl_sync(kAllLanes, found.label, lane)};
      const uint64_t lows = __ballot_sync(
          kAllLanes, tile.at(lane, lane_id()) + low_start >= wanted && low < centroids.count);
      const uint64_t highs =
          __ballot_sync(kAllLanes, tile.at(lane, kWarp + lane_id()) + high_start >= wanted &&
                                       high < centroids.count);
      for (uint64_t near = lows | highs << 32; near; near &= near - 1, ++taken) {
        const int64_t k = panel + __ffsll(static_cast<long long>(near)) - 1;
        const float other =
            distance(points.data + row * d, rows.scales[row], exact + k * d, d, metric);
        if (other < now.distance) now.distance = other, now.label = k;
      }
      if (lane_id() == lane) found.distance = now.distance, found.label = now.label;
    }
    return taken;
  }
};

// The largest of a panel's two columns a lane.
__device__ float largest(const float* values, int64_t panel) {
  return warp_max(fmaxf(values[panel + lane_id()], values[panel + kWarp + lane_id()]));
}

template <class T, class Tile, class Left, class Right>
__global__ void nearest_kernel(Search<T> search, Left left, Right right, bool rounded,
                               View<int64_t, 1> labels, View<float, 1> distances) {
  const Rounded &rows = search.rows, &centroids = search.centroids;
  const int64_t block = int64_t{blockIdx.x} * kTileRows, row = block + threadIdx.x;
  if (!rounded && labels.data[block] != kGivenUp) return;
  Tile tile(dynamic_shared<unsigned char>(), left.width);
  const Errors errors(search.points.shape[1], rounded);
  const float own = rows.norms[row], own_lost = rounded ? rows.residuals[row] : 0;
  NearestSoFar found{-CUDART_INF_F, CUDART_INF_F, -1};
  int taken = 0;
  for (int64_t panel = 0; panel < centroids.padded; panel += kTileColumns) {
    tile.multiply(left, block, right, panel, panel == 0);
    tile.set_addends(centroids.starts[panel + lane_id()],
                     centroids.starts[panel + kWarp + lane_id()]);
    float most = -CUDART_INF_F;
    tile.each([&](int, float score, float start) { most = fmaxf(most, score + start); });
    const float error = errors(own, own_lost, largest(centroids.norms, panel),
                               rounded ? largest(centroids.residuals, panel) : 0);
    found.least = fmaxf(found.least, most - error);
    const float bound = found.least - error;
    taken += search.rescore_candidates(tile, row - lane_id(), panel, bound,
                                       most >= bound && row < rows.count, found);
    // A distance takes a warp as long as float scores take it for about one row and 16 centroids.
    const bool much = taken > 256 + kWarp * (panel + kTileColumns) / 16;
    if (rounded && __syncthreads_or(much)) {
      found.label = kGivenUp;
      break;
    }
  }
  if (row >= rows.count) return;
  labels.data[row] = found.label;
  distances.data[row] = found.label < 0 ? CUDART_NAN_F : found.distance;
}

}  // namespace
}  // namespace pymim::cuda
