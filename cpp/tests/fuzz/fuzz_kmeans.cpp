#include <algorithm>
#include <cmath>

#include "fuzz.hpp"
#include "pymim/kmeans.hpp"

namespace {

using namespace pymim;
using namespace pymim::fuzz;

struct Sizes {
  int64_t b, k, d;  // now and then more than the tiles of a GPU
  Metric metric;
  explicit Sizes(Random& random)
      : b(random.between(0, random.chance(0.05) ? 300 : 70)),
        k(random.count(random.between(1, random.chance(0.05) ? 200 : 40))),
        d(random.count(random.between(1, 50))),
        metric(random.pick({Metric::l2, Metric::cosine})) {}
};

template <class T>
View<const T, 2> any_points(Random& random, Arrays& arrays, const Sizes& sizes) {
  const std::array<int64_t, 2> shape = {sizes.b, sizes.d};
  if constexpr (std::is_same_v<T, float>)
    return arrays.numbers<float, 2>(shape, -2., 2.);
  else
    return arrays.view<T, 2>(
        shape, [&](int64_t) { return T{static_cast<uint16_t>(random.word() & 0xbfff)}; });
}

View<uint8_t, 1> any_workspace(Random& random, Arrays& arrays, int64_t bytes) {
  return arrays.out<uint8_t, 1>({random.count(bytes)});
}

template <class T>
void assignment(Random& random) {
  Arrays arrays(random);
  const Sizes sizes(random);
  const auto points = any_points<T>(random, arrays, sizes);
  const double lowest =
      random.chance(0.8) ? -2. : 1.999;  // close together: few can be distinguished
  const auto centroids = arrays.numbers<float, 2>({sizes.k, sizes.d}, lowest, 2.);
  const auto workspace =
      any_workspace(random, arrays,
                    assign_workspace({}, points[0], std::max<int64_t>(centroids[0], 0), points[1]));
  const auto labels = arrays.out<int64_t, 1>({sizes.b});
  const auto distances = arrays.out<float, 1>({sizes.b});
  assign<T>(points, centroids, sizes.metric, workspace, labels, distances);
  for (int64_t row = 0; row < labels[0]; ++row) {
    EXPECT(labels.data[row] >= 0 && labels.data[row] < centroids[0]);
    EXPECT(distances.data[row] >= -1e-5f);
  }
}

// Nothing yet, or sums of what some clusters have; a cluster without weight has no error.
Statistics any_statistics(Random& random, Arrays& arrays, const Sizes& sizes) {
  const double scale = random.chance(0.5) ? random.real(0.1, 9.) : 0.;
  const auto sum = [&](int64_t) { return scale * random.real(-1., 1.); };
  const auto weight = [scale](int64_t i) {
    return i % 5 ? scale * static_cast<double>(i % 7) : 0.;
  };
  return {arrays.view<double, 2>({sizes.k, sizes.d}, sum),
          arrays.view<double, 1>({sizes.k}, weight), arrays.view<double, 1>({sizes.k}, weight)};
}

template <class T>
void accumulation(Random& random) {
  Arrays arrays(random);
  const Sizes sizes(random);
  const int64_t most = std::max<int64_t>(sizes.k, 1) - (random.chance(0.03) ? 0 : 1);
  const auto points = any_points<T>(random, arrays, sizes);
  const View<const int64_t, 1> labels =
      arrays.view<int64_t, 1>({sizes.b}, [&](int64_t) { return random.between(-1, most); });
  const auto weights =
      random.chance(0.5) ? arrays.numbers<float, 1>({sizes.b}, 0., 2.) : View<const float, 1>();
  const View<const float, 1> distances =
      arrays.view<float, 1>({sizes.b}, [](int64_t) { return 1.f; });
  const Statistics out = any_statistics(random, arrays, sizes);
  const auto workspace =
      any_workspace(random, arrays, accumulate_workspace({}, sizes.b, out.sums[0]));
  accumulate<T>(points, labels, weights, distances, sizes.metric, workspace, out);
  for (int64_t i = 0; i < out.counts.size(); ++i) EXPECT(out.counts.data[i] >= 0);
}

// Overwrites one number, now and then, with one that fits no statistics.
void spoil(Random& random, double* numbers, int64_t count) {
  const double infinity = std::numeric_limits<double>::infinity();
  if (count > 0 && random.chance(0.2))
    numbers[random.between(0, count - 1)] =
        random.pick({0., -1., 9., 1e300, infinity, infinity - infinity});
}

void updating(Random& random) {
  Arrays arrays(random);
  const Sizes sizes(random);
  const Statistics statistics = any_statistics(random, arrays, sizes);
  spoil(random, statistics.sums.data, statistics.sums.size());
  spoil(random, statistics.counts.data, statistics.counts.size());
  spoil(random, statistics.errors.data, statistics.errors.size());
  const auto centroids = arrays.view<float, 2>(
      {sizes.k, sizes.d}, [&](int64_t) { return static_cast<float>(random.real(-2., 2.)); });
  update(statistics, sizes.metric, random.pick({Empty::keep, Empty::split}), centroids);
  for (int64_t i = 0; i < centroids.size(); ++i) EXPECT(std::isfinite(centroids.data[i]));
}

}  // namespace

int main(int count, char** arguments) {
  return run(count, arguments,
             {{"assign float", assignment<float>},
              {"assign bfloat16", assignment<bfloat16>},
              {"assign float16", assignment<float16>},
              {"accumulate float", accumulation<float>},
              {"accumulate bfloat16", accumulation<bfloat16>},
              {"update", updating}});
}
