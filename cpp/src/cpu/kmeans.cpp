// K-means on the CPU: threads over blocks of rows to assign, over columns to accumulate.
#include "../kmeans.hpp"

#include "nearest.hpp"

namespace pymim::cpu::PYMIM_ISA {
namespace {

// Some of the rows. Where the error bound of bfloat16 leaves too much open, as for tight clusters
// far apart, it goes on with float scores; the answer is the same.
template <class T>
void assign_range(View<const T, 2> points, const Centroids& to, const RowBlock& block,
                  int64_t begin, int64_t end, int64_t* labels, float* distances) {
  const int64_t patience = to.k / 16 + 4;
  int64_t taken = 0, budget = 0;
  Query rows[kRows];
  for (int64_t first = begin; first < end; first += kRows) {
    const int64_t count = end - first < kRows ? end - first : kRows;
    const bool rounded = pairs_supported() && taken <= budget;
    for (int64_t i = 0; i < count; ++i)
      rows[i] = prepare(points.data + (first + i) * to.d, to, block, i);
    taken += nearest(rows, count, to, block, rounded);
    budget += count * patience;
    for (int64_t i = 0; i < count; ++i) {
      labels[first + i] = rows[i].label;
      distances[first + i] =
          rows[i].label < 0 ? std::numeric_limits<float>::quiet_NaN() : rows[i].distance;
    }
  }
}

// The weight of each row in its cluster's sum: under cosine it is the unit row that is summed.
template <class T>
void find_scales(View<const T, 2> points, View<const float, 1> weights, Metric metric,
                 double* scales) {
  const int64_t d = points[1];
  const double one = metric == Metric::l2 ? 2 : kAdd * static_cast<double>(d);
  parallel_for(points[0], one, [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      double square = 0;
      for (int64_t i = 0; metric == Metric::cosine && i < d; ++i) {
        const double value = to_float(points.data[row * d + i]);
        square += value * value;
      }
      const double length = metric == Metric::l2 ? 1 : std::sqrt(square);
      scales[row] = length > 0 ? (weights.present() ? weights.data[row] : 1) / length : 0;
    }
  });
}

void accumulate_scalars(View<const int64_t, 1> labels, View<const float, 1> weights,
                        View<const float, 1> distances, const Statistics& out) {
  for (int64_t row = 0; row < labels[0]; ++row) {
    const int64_t k = labels.data[row];
    if (k < 0) continue;
    const double weight = weights.present() ? weights.data[row] : 1;
    out.counts.data[k] += weight;
    out.errors.data[k] += weight * distances.data[row];
  }
}

template <class T>
void accumulate_columns(View<const T, 2> points, View<const int64_t, 1> labels,
                        const double* scales, const Statistics& out, int64_t begin, int64_t end) {
  const int64_t d = points[1];
  for (int64_t row = 0; row < points[0]; ++row) {
    if (labels.data[row] < 0) continue;
    const T* point = points.data + row * d;
    double* sum = out.sums.data + labels.data[row] * d;
    const double scale = scales[row];
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) sum[i] += scale * double{to_float(point[i])};
  }
}

}  // namespace

void assign_workspace(int64_t b, int64_t k, int64_t d, int64_t& bytes) {
  (void)b;
  Arena arena(nullptr);
  Centroids(arena, k, d, Metric::l2);
  for (int slot = 0; slot < thread_count(); ++slot) RowBlock(arena, d);
  bytes = arena.bytes();
}

template <class T>
void assign(View<const T, 2> points, View<const float, 2> centroids, Metric metric,
            View<uint8_t, 1> workspace, View<int64_t, 1> labels, View<float, 1> distances, Stream) {
  const int64_t b = points[0], blocks = (b + kRows - 1) / kRows;
  const int slots = thread_count();
  Arena arena(workspace.data);
  Centroids to(arena, centroids[0], points[1], metric);
  if (!pack(centroids.data, to)) {
    for (int64_t row = 0; row < b; ++row) labels.data[row] = -1;
    return;
  }
  const Arena shared = arena;
  const double one = kScore * static_cast<double>(kRows * to.d * to.panels * kWidth);
  parallel_for(
      blocks, one,
      [&](int64_t begin, int64_t end, int worker) {
        Arena own = shared;
        for (int before = 0; before < worker; ++before) RowBlock(own, to.d);
        assign_range(points, to, RowBlock(own, to.d), begin * kRows, end < blocks ? end * kRows : b,
                     labels.data, distances.data);
      },
      slots);
}

void accumulate_workspace(int64_t b, int64_t, int64_t& bytes) {
  Arena arena(nullptr);
  arena.take<double>(b);
  bytes = arena.bytes();
}

// Each column is summed by one thread in the order of the rows, so neither threads nor chunks
// change a bit.
template <class T>
void accumulate(View<const T, 2> points, View<const int64_t, 1> labels,
                View<const float, 1> weights, View<const float, 1> distances, Metric metric,
                View<uint8_t, 1> workspace, Statistics out, Stream) {
  constexpr int64_t kGroup = 16;
  const int64_t d = points[1], groups = (d + kGroup - 1) / kGroup;
  double* scales = Arena(workspace.data).take<double>(points[0]);
  find_scales(points, weights, metric, scales);
  parallel_for(groups, kAdd * static_cast<double>(points[0] * kGroup),
               [&](int64_t begin, int64_t end, int) {
                 accumulate_columns(points, labels, scales, out, begin * kGroup,
                                    end < groups ? end * kGroup : d);
                 if (begin == 0) accumulate_scalars(labels, weights, distances, out);
               });
}

namespace {

// Moves a centroid to the mean of its rows; their error is then from there.
void to_mean(const Statistics& from, Metric metric, int64_t k, float* centroid) {
  const int64_t d = from.sums[1];
  const double* sum = from.sums.data + k * d;
  double scale = from.counts.data[k];
  if (metric == Metric::cosine) {
    double square = 0;
    for (int64_t i = 0; i < d; ++i) square += sum[i] * sum[i];
    scale = std::sqrt(square);
  }
  if (!(scale > 0)) return;  // nothing to average, or directions that cancel: the old one stays
  double moved = 0;
  for (int64_t i = 0; i < d; ++i) {
    const double mean = sum[i] / scale, step = mean - static_cast<double>(centroid[i]);
    moved += step * step;
    centroid[i] = static_cast<float>(mean);
  }
  double& error = from.errors.data[k];
  error = scatter(from.counts.data[k], error, moved, scale, metric);
}

// The cluster that gives half of itself away, or -1.
int64_t find_donor(const Statistics& from) {
  int64_t donor = -1;
  for (int64_t k = 0; k < from.counts[0]; ++k)
    if (can_donate(from.counts.data[k], from.errors.data[k]) &&
        (donor < 0 || from.counts.data[k] > from.counts.data[donor]))
      donor = k;
  return donor;
}

// Sets the two halves apart along alternating signs by the root mean square distance in all.
void split(const Statistics& from, Metric metric, int64_t donor, int64_t empty,
           View<float, 2> centroids) {
  const int64_t d = centroids[1];
  float *left = centroids.data + donor * d, *right = centroids.data + empty * d;
  const double spread =
      std::sqrt(from.errors.data[donor] / from.counts.data[donor]) / static_cast<double>(d);
  for (int64_t i = 0; i < d; ++i) {
    const double least = std::fabs(left[i]) * 0x1p-21,
                 step = (i % 2 ? -1 : 1) * (spread > least ? spread : least);
    right[i] = static_cast<float>(left[i] + step);
    left[i] = static_cast<float>(left[i] - step);
  }
  if (metric == Metric::cosine) {
    to_unit(left, d);
    to_unit(right, d);
  }
  // Smaller errors, smaller steps: halves that are split again never meet.
  from.counts.data[donor] = from.counts.data[empty] = from.counts.data[donor] / 2;
  from.errors.data[donor] = from.errors.data[empty] = from.errors.data[donor] / 4;
}

}  // namespace

void update(Statistics statistics, Metric metric, Empty empty, View<float, 2> centroids, Stream) {
  const int64_t k = centroids[0], d = centroids[1];
  parallel_for(k, kPack * static_cast<double>(d), [&](int64_t begin, int64_t end, int) {
    for (int64_t cluster = begin; cluster < end; ++cluster)
      to_mean(statistics, metric, cluster, centroids.data + cluster * d);
  });
  for (int64_t cluster = 0; empty == Empty::split && cluster < k; ++cluster) {
    if (statistics.counts.data[cluster] > 0) continue;
    const int64_t donor = find_donor(statistics);
    if (donor < 0) return;
    split(statistics, metric, donor, cluster, centroids);
  }
}

PYMIM_INSTANTIATE_KMEANS(float)
PYMIM_INSTANTIATE_KMEANS(bfloat16)
PYMIM_INSTANTIATE_KMEANS(float16)

}  // namespace pymim::cpu::PYMIM_ISA
