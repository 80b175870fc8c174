// Every argument of k-means is checked here, once; then cpu or cuda.
#include "kmeans.hpp"

#include <cmath>
#include <limits>

#include "dispatch.hpp"

namespace pymim {
namespace {

constexpr float kLargest = std::numeric_limits<float>::max();

void check_centroids_finite(const View<const float, 2>& centroids) {
  for (int64_t row = 0; row < centroids[0]; ++row) {
    float square = 0;
    for (int64_t i = 0; i < centroids[1]; ++i) {
      const float value = centroids.data[row * centroids[1] + i];
      square += value * value;
    }
    check(square <= kLargest,
          "assign: centroids: expected rows whose squares sum to a finite float, got row ", row,
          " with NaN, infinity or an overflow; start from other centroids");
  }
}

// The kernel marks what it could not assign. On the CPU looking for marks costs next to nothing.
void check_assigned(const View<int64_t, 1>& labels, const View<const float, 2>& centroids) {
  if (labels.device.kind != Device::cpu) return;
  for (int64_t row = 0; row < labels[0]; ++row) {
    if (labels.data[row] >= 0) continue;
    check_centroids_finite(centroids);
    check(false, "assign: points: expected rows whose squares sum to a finite float, got row ", row,
          " with NaN, infinity or an overflow; remove or rescale it");
  }
}

void check_labels(const View<const int64_t, 1>& labels, int64_t k) {
  if (labels.device.kind != Device::cpu) return;
  for (int64_t row = 0; row < labels[0]; ++row)
    check(labels.data[row] < k, "accumulate: labels: expected below ", k, " (K), got ",
          labels.data[row], " at row ", row, "; assign to these clusters first");
}

void check_weights(const View<const float, 1>& weights) {
  if (!weights.present() || weights.device.kind != Device::cpu) return;
  for (int64_t row = 0; row < weights[0]; ++row)
    check(weights.data[row] >= 0 && weights.data[row] <= kLargest,
          "accumulate: weights: expected finite and not negative, got ", weights.data[row],
          " at row ", row, "; drop such rows instead");
}

void check_statistics(const char* function, const Statistics& statistics, int64_t d) {
  const int64_t k = statistics.sums[0];
  check_shape(function, "sums", statistics.sums, {k, d}, "[K D]");
  check_shape(function, "counts", statistics.counts, {k}, "[K]");
  check_shape(function, "errors", statistics.errors, {k}, "[K]");
}

void check_totals(const char* name, const View<double, 1>& totals) {
  if (totals.device.kind != Device::cpu) return;
  for (int64_t k = 0; k < totals[0]; ++k)
    check(totals.data[k] >= 0 && totals.data[k] <= std::numeric_limits<double>::max(),
          "update: ", name, ": expected finite and not negative, got ", totals.data[k],
          " of cluster ", k, "; start from zeros and accumulate");
}

void check_updated(const View<float, 2>& centroids) {
  if (centroids.device.kind != Device::cpu) return;
  for (int64_t i = 0; i < centroids.size(); ++i)
    check(std::abs(centroids.data[i]) <= kLargest,
          "update: sums: expected means that are finite floats, got another of cluster ",
          i / centroids[1], "; accumulate finite rows, and start from finite centroids");
}

void check_workspace(const char* function, const View<uint8_t, 1>& workspace, int64_t bytes) {
  check(workspace[0] >= bytes, function, ": workspace: expected at least ", bytes, " bytes, got ",
        workspace[0], "; ask ", function, "_workspace");
}

}  // namespace

int64_t assign_workspace(Device device, int64_t b, int64_t k, int64_t d) {
  int64_t bytes = 0;
  const View<uint8_t, 1> where(nullptr, {}, device);
  PYMIM_RUN(assign_workspace, where, b, k, d, bytes);
  return bytes;
}

template <class T>
void assign(View<const T, 2> points, View<const float, 2> centroids, Metric metric,
            View<uint8_t, 1> workspace, View<int64_t, 1> labels, View<float, 1> distances,
            Stream stream) {
  const int64_t b = points[0], k = centroids[0], d = points[1];
  check(k > 0, "assign: centroids: expected at least one, got none; pass K > 0 rows");
  check(d > 0, "assign: points: expected at least one column, got none; pass D > 0 columns");
  check_shape("assign", "centroids", centroids, {k, d}, "[K D]");
  check_shape("assign", "labels", labels, {b}, "[B]");
  check_shape("assign", "distances", distances, {b}, "[B]");
  check_device("assign", points, centroids, workspace, labels, distances);
  check_workspace("assign", workspace, assign_workspace(points.device, b, k, d));
  if (b == 0) return;
  PYMIM_RUN(assign, points, points, centroids, metric, workspace, labels, distances, stream);
  check_assigned(labels, centroids);
}

int64_t accumulate_workspace(Device device, int64_t b, int64_t k) {
  int64_t bytes = 0;
  const View<uint8_t, 1> where(nullptr, {}, device);
  PYMIM_RUN(accumulate_workspace, where, b, k, bytes);
  return bytes;
}

template <class T>
void accumulate(View<const T, 2> points, View<const int64_t, 1> labels,
                View<const float, 1> weights, View<const float, 1> distances, Metric metric,
                View<uint8_t, 1> workspace, Statistics out, Stream stream) {
  const int64_t b = points[0], k = out.sums[0];
  check(!on_cuda(points.device) || b < int64_t{1} << 31,
        "accumulate: points: expected fewer than 2^31 rows on CUDA, got ", b,
        "; accumulate some at a time");
  check_shape("accumulate", "labels", labels, {b}, "[B]");
  if (weights.present()) check_shape("accumulate", "weights", weights, {b}, "[B]");
  check_shape("accumulate", "distances", distances, {b}, "[B]");
  check_statistics("accumulate", out, points[1]);
  check_device("accumulate", points, labels, weights, distances, workspace, out.sums, out.counts,
               out.errors);
  check_workspace("accumulate", workspace, accumulate_workspace(points.device, b, k));
  check_labels(labels, k);
  check_weights(weights);
  if (b == 0) return;
  PYMIM_RUN(accumulate, points, points, labels, weights, distances, metric, workspace, out, stream);
}

void update(Statistics statistics, Metric metric, Empty empty, View<float, 2> centroids,
            Stream stream) {
  check_shape("update", "centroids", centroids, statistics.sums.shape, "[K D]");
  check_statistics("update", statistics, centroids[1]);
  check_device("update", centroids, statistics.sums, statistics.counts, statistics.errors);
  check_totals("counts", statistics.counts);
  check_totals("errors", statistics.errors);
  PYMIM_RUN(update, centroids, statistics, metric, empty, centroids, stream);
  check_updated(centroids);
}

PYMIM_INSTANTIATE_KMEANS(float)
PYMIM_INSTANTIATE_KMEANS(bfloat16)
PYMIM_INSTANTIATE_KMEANS(float16)

}  // namespace pymim
