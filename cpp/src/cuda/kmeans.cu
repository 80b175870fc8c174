// K-means on a GPU: tensor-core scores to assign; rows sorted by cluster, then summed by segments,
// to accumulate.
#include "../kmeans.hpp"

#include "nearest.cuh"

namespace pymim::cuda {
namespace {

constexpr int64_t kDirect = 4;  // with no more centroids than this every distance is computed
constexpr int kColumns = 128;   // threads that sum one cluster, a column each

unsigned blocks_of(int64_t count, int64_t each) {
  return static_cast<unsigned>(divide_up(count, each));
}

__global__ void unit_kernel(View<const float, 2> rows, float* out) {
  const int64_t row = warp_index(), d = rows.shape[1];
  if (row >= rows.shape[0]) return;
  const float scale = inverse_norm(rows.data + row * d, d);
  for (int64_t i = lane_id(); i < d; i += kWarp) out[row * d + i] = rows.data[row * d + i] * scale;
}

// Every distance: for a few centroids the cheapest way.
template <class T>
__global__ void direct_kernel(View<const T, 2> points, const float* centroids, int64_t k,
                              Metric metric, View<int64_t, 1> labels, View<float, 1> distances) {
  const int64_t row = warp_index(), d = points.shape[1];
  if (row >= points.shape[0]) return;
  const T* x = points.data + row * d;
  const float scale = metric == Metric::cosine ? inverse_norm(x, d) : 1;
  float best = CUDART_INF_F;
  int64_t label = -1;
  for (int64_t centroid = 0; centroid < k; ++centroid) {
    const float other = distance(x, scale, centroids + centroid * d, d, metric);
    if (other < best) best = other, label = centroid;
  }
  if (lane_id()) return;
  labels.data[row] = label;
  distances.data[row] = label < 0 ? CUDART_NAN_F : best;
}

// What assign keeps in its workspace.
struct Scoring {
  float *unit, *mean;  // [K D], used under cosine, and [D]
  Rounded centroids, rows;

  Scoring(Arena& arena, int64_t b, int64_t k, int64_t d)
      : unit(arena.take<float>(k * d)),
        mean(arena.take<float>(d)),
        centroids(arena, k, d, kTileColumns),
        rows(arena, b, d, kTileRows) {}
};

// How the rows are sorted: each warp takes a run of them, and counts and places its rows in order.
struct Sorting {
  int64_t runs, length;
  int32_t* before;  // [K runs] how many rows of the cluster come in earlier runs
  int64_t* starts;  // [K + 1] where each cluster's rows start
  int64_t* order;   // [B] rows by cluster, ascending in each
  double* scales;   // [B] weight of the row in its cluster's sum

  Sorting(Arena& arena, int64_t b, int64_t k) {
    const int64_t most = std::max<int64_t>(1, (int64_t{1} << 24) / std::max<int64_t>(1, k));
    runs = std::max<int64_t>(1, std::min(most, std::min<int64_t>(1024, b / 256)));
    length = divide_up(b, runs);
    before = arena.take<int32_t>(k * runs);
    starts = arena.take<int64_t>(k + 1);
    order = arena.take<int64_t>(b);
    scales = arena.take<double>(b);
  }
};

template <class T>
__global__ void scales_kernel(View<const T, 2> points, View<const float, 1> weights, Metric metric,
                              double* scales) {
  const int64_t row = warp_index(), d = points.shape[1];
  if (row >= points.shape[0]) return;
  double length = 1;
  if (metric == Metric::cosine) {
    double square = 0;
    for (int64_t i = lane_id(); i < d; i += kWarp) {
      const double value = to_float(points.data[row * d + i]);
      square += value * value;
    }
    length = sqrt(warp_sum(square));
  }
  if (lane_id() == 0)
    scales[row] = length > 0 ? (weights.data ? weights.data[row] : 1) / length : 0;
}

__global__ void zero_kernel(int32_t* counts, int64_t size) {
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < size;
       i += int64_t{gridDim.x} * blockDim.x)
    counts[i] = 0;
}

// Visits the rows of this warp's run in order, with each row's rank among those of its cluster seen
// so far. With `place` the counters must already hold where the run's rows of each cluster go.
__global__ void run_kernel(View<const int64_t, 1> labels, int64_t k, Sorting sorting, bool place) {
  const int64_t run = warp_index(), begin = run * sorting.length;
  if (run >= sorting.runs) return;
  const int64_t end = min(begin + sorting.length, labels.shape[0]);
  for (int64_t first = begin; first < end; first += kWarp) {
    const int64_t row = first + lane_id(), label = row < end ? labels.data[row] : -1;
    const bool inside = label >= 0 && label < k;
    const unsigned peers = __match_any_sync(kAllLanes, inside ? label : -1);
    int32_t* counter = inside ? sorting.before + label * sorting.runs + run : nullptr;
    const int32_t seen = inside ? *counter : 0;
    __syncwarp();
    const int rank = __popc(peers & ((1u << lane_id()) - 1));
    if (inside && place) sorting.order[sorting.starts[label] + seen + rank] = row;
    if (inside && rank == 0) *counter = seen + __popc(peers);
    __syncwarp();
  }
}

// Counts of a run become counts of the runs before it; totals go to starts[cluster + 1].
__global__ void earlier_kernel(int64_t k, Sorting sorting) {
  const int64_t cluster = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (cluster >= k) return;
  int32_t total = 0;
  for (int64_t run = 0; run < sorting.runs; ++run) {
    int32_t& count = sorting.before[cluster * sorting.runs + run];
    const int32_t own = count;
    count = total;
    total += own;
  }
  sorting.starts[cluster + 1] = total;
}

// Prefix sums over clusters, by one warp.
__global__ void starts_kernel(int64_t k, Sorting sorting) {
  int64_t total = 0;
  if (lane_id() == 0) sorting.starts[0] = 0;
  for (int64_t first = 0; first < k; first += kWarp) {
    const int64_t cluster = first + lane_id();
    int64_t sum = cluster < k ? sorting.starts[cluster + 1] : 0;
    for (int offset = 1; offset < kWarp; offset *= 2) {
      const int64_t left = __shfl_up_sync(kAllLanes, sum, static_cast<unsigned>(offset));
      if (lane_id() >= offset) sum += left;
    }
    if (cluster < k) sorting.starts[cluster + 1] = total + sum;
    total += __shfl_sync(kAllLanes, sum, kWarp - 1);
  }
}

// A block a cluster and a group of columns: its rows one after the other, in ascending order.
template <class T>
__global__ void sum_kernel(View<const T, 2> points, View<const float, 1> weights,
                           View<const float, 1> distances, Sorting sorting, Statistics out) {
  const int64_t k = blockIdx.x, column = int64_t{blockIdx.y} * kColumns + threadIdx.x,
                d = points.shape[1];
  const int64_t begin = sorting.starts[k], end = sorting.starts[k + 1];
  if (begin == end) return;
  if (column < d) {
    double sum = out.sums.data[k * d + column];
#pragma unroll 4
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = sorting.order[i];
      sum += sorting.scales[row] * double{to_float(points.data[row * d + column])};
    }
    out.sums.data[k * d + column] = sum;
  }
  if (column != 0) return;
  double count = out.counts.data[k], error = out.errors.data[k];
  for (int64_t i = begin; i < end; ++i) {
    const int64_t row = sorting.order[i];
    const double weight = weights.data ? weights.data[row] : 1;
    count += weight;
    error += weight * distances.data[row];
  }
  out.counts.data[k] = count;
  out.errors.data[k] = error;
}

// On the tensor cores, then in float where they leave too much open. A block that has nothing to do
// in the second launch reads one label.
template <class T>
void search(const Scoring& to, View<const T, 2> points, const float* exact, Metric metric,
            View<int64_t, 1> labels, View<float, 1> distances, Stream stream) {
  using Tensors = TensorTile<bfloat16>;
  using Floats = FloatTile<float>;
  const int64_t d = points[1];
  const dim3 blocks(blocks_of(to.rows.padded, kTileRows)), threads(kTileThreads);
  const Search<T> search{points, exact, metric, to.rows, to.centroids};
  launch(nearest_kernel<T, Tensors, Rows<bfloat16>, Rows<bfloat16>>, blocks, threads,
         Tensors::bytes(to.rows.width), stream, search, to.rows.values(), to.centroids.values(),
         true, labels, distances);
  launch(nearest_kernel<T, Floats, Centred<T>, Centred<float>>, blocks, threads, Floats::bytes(d),
         stream, search, Centred<T>{points.data, points[0], d, to.rows.scales, to.mean},
         Centred<float>{exact, to.centroids.count, d, nullptr, to.mean}, false, labels, distances);
}

}  // namespace

void assign_workspace(int64_t b, int64_t k, int64_t d, int64_t& bytes) {
  Arena arena(nullptr);
  Scoring(arena, b, k, d);
  bytes = arena.bytes();
}

template <class T>
void assign(View<const T, 2> points, View<const float, 2> centroids, Metric metric,
            View<uint8_t, 1> workspace, View<int64_t, 1> labels, View<float, 1> distances,
            Stream stream) {
  const int64_t b = points[0], k = centroids[0], d = points[1];
  const dim3 threads(kWarpsPerBlock * kWarp);
  Arena arena(workspace.data);
  const Scoring to(arena, b, k, d);
  const float* exact = centroids.data;
  if (metric == Metric::cosine) {
    launch(unit_kernel, dim3(blocks_of(k, kWarpsPerBlock)), threads, 0, stream, centroids, to.unit);
    exact = to.unit;
  }
  if (k <= kDirect) {
    launch(direct_kernel<T>, dim3(blocks_of(b, kWarpsPerBlock)), threads, 0, stream, points, exact,
           k, metric, labels, distances);
    return;
  }
  launch(mean_of_centroids_kernel, dim3(blocks_of(d, 128)), dim3(128), 0, stream, centroids, metric,
         to.mean);
  launch(round_kernel<float>, dim3(blocks_of(to.centroids.padded, kWarpsPerBlock)), threads, 0,
         stream, centroids, metric, to.mean, to.centroids);
  launch(round_kernel<T>, dim3(blocks_of(to.rows.padded, kWarpsPerBlock)), threads, 0, stream,
         points, metric, to.mean, to.rows);
  search<T>(to, points, exact, metric, labels, distances, stream);
}

void accumulate_workspace(int64_t b, int64_t k, int64_t& bytes) {
  Arena arena(nullptr);
  Sorting(arena, b, k);
  bytes = arena.bytes();
}

template <class T>
void accumulate(View<const T, 2> points, View<const int64_t, 1> labels,
                View<const float, 1> weights, View<const float, 1> distances, Metric metric,
                View<uint8_t, 1> workspace, Statistics out, Stream stream) {
  const int64_t b = points[0], k = out.sums[0];
  Arena arena(workspace.data);
  const Sorting sorting(arena, b, k);
  const dim3 threads(kWarpsPerBlock * kWarp), run_blocks(blocks_of(sorting.runs, kWarpsPerBlock));
  launch(scales_kernel<T>, dim3(blocks_of(b, kWarpsPerBlock)), threads, 0, stream, points, weights,
         metric, sorting.scales);
  launch(zero_kernel, dim3(256), dim3(256), 0, stream, sorting.before, k * sorting.runs);
  launch(run_kernel, run_blocks, threads, 0, stream, labels, k, sorting, false);
  launch(earlier_kernel, dim3(blocks_of(k, 128)), dim3(128), 0, stream, k, sorting);
  launch(starts_kernel, dim3(1), dim3(kWarp), 0, stream, k, sorting);
  launch(run_kernel, run_blocks, threads, 0, stream, labels, k, sorting, true);
  const dim3 clusters(static_cast<unsigned>(k), blocks_of(points[1], kColumns));
  launch(sum_kernel<T>, clusters, dim3(kColumns), 0, stream, points, weights, distances, sorting,
         out);
}

namespace {

// A warp a cluster, whose error is then from its mean.
__global__ void mean_kernel(Statistics from, Metric metric, View<float, 2> centroids) {
  const int64_t k = warp_index(), d = centroids.shape[1];
  if (k >= centroids.shape[0]) return;
  const double* sum = from.sums.data + k * d;
  double scale = from.counts.data[k];
  if (metric == Metric::cosine) {
    double square = 0;
    for (int64_t i = lane_id(); i < d; i += kWarp) square += sum[i] * sum[i];
    scale = sqrt(warp_sum(square));
  }
  if (!(scale > 0)) return;
  double moved = 0;
  for (int64_t i = lane_id(); i < d; i += kWarp) {
    float& centroid = centroids.data[k * d + i];
    const double mean = sum[i] / scale, step = mean - static_cast<double>(centroid);
    moved += step * step;
    centroid = static_cast<float>(mean);
  }
  moved = warp_sum(moved);
  double& error = from.errors.data[k];
  if (lane_id() == 0) error = scatter(from.counts.data[k], error, moved, scale, metric);
}

struct Donor {
  double count;
  int64_t id;
};

__device__ Donor better(Donor a, Donor b) {
  if (b.id < 0) return a;
  return a.id < 0 || b.count > a.count || (b.count == a.count && b.id < a.id) ? b : a;
}

__device__ int64_t find_donor(const Statistics& from) {
  Donor best{0, -1};
  for (int64_t k = lane_id(); k < from.counts.shape[0]; k += kWarp)
    if (can_donate(from.counts.data[k], from.errors.data[k]))
      best = better(best, {from.counts.data[k], k});
  for (int offset = kWarp / 2; offset; offset /= 2)
    best = better(best, {__shfl_xor_sync(kAllLanes, best.count, offset),
                         __shfl_xor_sync(kAllLanes, best.id, offset)});
  return best.id;
}

__device__ void scale_to_unit(float* x, int64_t d) {
  const float scale = inverse_norm(x, d);
  for (int64_t i = lane_id(); i < d; i += kWarp) x[i] *= scale;
}

__device__ void split(const Statistics& from, Metric metric, int64_t donor, int64_t empty,
                      View<float, 2>& centroids) {
  const int64_t d = centroids.shape[1];
  float *left = centroids.data + donor * d, *right = centroids.data + empty * d;
  const double spread =
      sqrt(from.errors.data[donor] / from.counts.data[donor]) / static_cast<double>(d);
  for (int64_t i = lane_id(); i < d; i += kWarp) {
    const double least = fabs(left[i]) * 0x1p-21,
                 step = (i % 2 ? -1 : 1) * (spread > least ? spread : least);
    right[i] = static_cast<float>(left[i] + step);
    left[i] = static_cast<float>(left[i] - step);
  }
  __syncwarp();
  if (metric == Metric::cosine) {
    scale_to_unit(left, d);
    scale_to_unit(right, d);
  }
  if (lane_id() == 0) {
    from.counts.data[donor] = from.counts.data[empty] = from.counts.data[donor] / 2;
    from.errors.data[donor] = from.errors.data[empty] = from.errors.data[donor] / 4;
  }
  __syncwarp();
}

// One warp: each split changes who is the largest.
__global__ void repair_kernel(Statistics from, Metric metric, View<float, 2> centroids) {
  for (int64_t k = 0; k < centroids.shape[0]; ++k) {
    if (from.counts.data[k] > 0) continue;
    const int64_t donor = find_donor(from);
    if (donor < 0) return;
    split(from, metric, donor, k, centroids);
  }
}

}  // namespace

void update(Statistics statistics, Metric metric, Empty empty, View<float, 2> centroids,
            Stream stream) {
  launch(mean_kernel, dim3(blocks_of(centroids[0], kWarpsPerBlock)), dim3(kWarpsPerBlock * kWarp),
         0, stream, statistics, metric, centroids);
  if (empty == Empty::split)
    launch(repair_kernel, dim3(1), dim3(kWarp), 0, stream, statistics, metric, centroids);
}

PYMIM_INSTANTIATE_KMEANS(float)
PYMIM_INSTANTIATE_KMEANS(bfloat16)
PYMIM_INSTANTIATE_KMEANS(float16)

}  // namespace pymim::cuda
