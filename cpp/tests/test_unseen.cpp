// Values that the CPU looks at and refuses, and a GPU, which cannot look without stopping its
// stream, has to answer: the emulated kernels on arrays that say they lie on a device.
#include <cmath>
#include <limits>
#include <vector>

#include "expect.hpp"
#include "pymim/kmeans.hpp"
#include "pymim/rank.hpp"

namespace {

using namespace pymim;

constexpr Device kDevice{Device::cuda, 0};
constexpr double kInfinity = std::numeric_limits<double>::infinity(),
                 kNan = std::numeric_limits<double>::quiet_NaN();

template <class T, size_t Rank>
View<T, Rank> on_device(std::vector<std::remove_const_t<T>>& values,
                        std::array<int64_t, Rank> shape) {
  return {values.data(), shape, kDevice};
}

// The ids of six scores in order, after their ranks have been checked against them.
template <class T>
std::vector<int64_t> order(std::vector<T> scores, bool descending) {
  std::vector<int64_t> ids(6, -7), ranks(6, -7), scratch(static_cast<size_t>(rank_scratch<T>(6)));
  rank<T>(on_device<const T, 2>(scores, {1, 6}), descending,
          on_device<int64_t, 2>(scratch, {1, rank_scratch<T>(6)}),
          {on_device<int64_t, 2>(ids, {1, 6}), on_device<int64_t, 2>(ranks, {1, 6})});
  for (size_t place = 0; place < 6; ++place)
    EXPECT(ranks[static_cast<size_t>(ids[place])] == int64_t(place));
  return ids;
}

template <class T>
void test_nan_ranks_above_all_numbers() {
  const T infinity = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
  const std::vector<T> scores = {T{1}, nan, -infinity, -nan, infinity, T{-2}};
  EXPECT((order(scores, false) == std::vector<int64_t>{2, 5, 0, 4, 1, 3}));
  EXPECT((order(scores, true) == std::vector<int64_t>{1, 3, 4, 0, 5, 2}));
}

// Three clusters of width 2, the second with this count and error.
void expect_finite_update(double count, double error, Metric metric) {
  std::vector<double> sums = {6, 6, 1, 2, 0, 0}, counts = {6, count, 0}, errors = {1, error, error};
  std::vector<float> centroids = {1, 1, 2, 2, 3, 3};
  const Statistics statistics{on_device<double, 2>(sums, {3, 2}), on_device<double, 1>(counts, {3}),
                              on_device<double, 1>(errors, {3})};
  update(statistics, metric, Empty::split, on_device<float, 2>(centroids, {3, 2}));
  for (float value : centroids) EXPECT(std::isfinite(value));
}

void test_statistics_that_do_not_fit_give_finite_centroids() {
  for (double count : {0., -1., 5., kInfinity, kNan})
    for (double error : {0., -1., 2., 1e300, kInfinity, kNan})
      for (Metric metric : {Metric::l2, Metric::cosine}) expect_finite_update(count, error, metric);
}

}  // namespace

int main() {
  test_nan_ranks_above_all_numbers<float>();
  test_nan_ranks_above_all_numbers<double>();
  test_statistics_that_do_not_fit_give_finite_centroids();
  return failures;
}
