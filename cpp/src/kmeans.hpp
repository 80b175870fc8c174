#pragma once

#include "kernels.hpp"
#include "pymim/kmeans.hpp"

namespace pymim {
namespace {  // so that each instruction set keeps its own copy

// How far the rows of a cluster are from their mean, where it is `moved` (squared) from the
// centroid that they were `error` from; under cosine, where their directions sum to a vector of
// length `scale`. What is as small as the rounding of distances is 0: one row, or equal ones.
PYMIM_HOST_DEVICE inline double scatter(double count, double error, double moved, double scale,
                                        Metric metric) {
  const double rest = metric == Metric::cosine ? count - scale : error - count * moved;
  return rest > (metric == Metric::cosine ? count * 0x1p-20 : error * 0x1p-16) ? rest : 0;
}

// Whether a cluster has rows, and they differ by no more than floats can be set apart.
PYMIM_HOST_DEVICE inline bool can_donate(double count, double error) {
  return count > 0 && error > 0 && error < count * 0x1p127;
}

}  // namespace
}  // namespace pymim

// Each instantiates its templates for float, bfloat16 and float16.
PYMIM_EACH_PLACE(void assign_workspace(int64_t b, int64_t k, int64_t d, int64_t& bytes);

                 template <class T>
                 void assign(View<const T, 2> points, View<const float, 2> centroids, Metric metric,
                             View<uint8_t, 1> workspace, View<int64_t, 1> labels,
                             View<float, 1> distances, Stream stream);

                 void accumulate_workspace(int64_t b, int64_t k, int64_t& bytes);

                 template <class T>
                 void accumulate(View<const T, 2> points, View<const int64_t, 1> labels,
                                 View<const float, 1> weights, View<const float, 1> distances,
                                 Metric metric, View<uint8_t, 1> workspace, Statistics out,
                                 Stream stream);

                 void update(Statistics statistics, Metric metric, Empty empty,
                             View<float, 2> centroids, Stream stream);)

#define PYMIM_INSTANTIATE_KMEANS(T)                                                           \
  template void assign<T>(View<const T, 2>, View<const float, 2>, Metric, View<uint8_t, 1>,   \
                          View<int64_t, 1>, View<float, 1>, Stream);                          \
  template void accumulate<T>(View<const T, 2>, View<const int64_t, 1>, View<const float, 1>, \
                              View<const float, 1>, Metric, View<uint8_t, 1>, Statistics, Stream);
