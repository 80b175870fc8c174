#include "fuzz.hpp"
#include "pymim/rank.hpp"

namespace {

using namespace pymim;
using namespace pymim::fuzz;

template <class T>
View<T, 2> sometimes(Random& random, Arrays& arrays, int64_t b, int64_t m) {
  return random.chance(0.8) ? arrays.out<T, 2>({b, m}) : View<T, 2>();
}

template <class T>
void loss(Random& random) {
  Arrays arrays(random);
  const int64_t b = random.between(0, 4), m = random.between(0, 40);
  const double spread = random.pick({0.1, 10., 1e4});
  const auto scores = arrays.numbers<const T, 2>({b, m}, -spread, spread);
  const auto losses = arrays.numbers<const T, 2>({b, m}, 0, 1);
  const auto weights =
      random.chance(0.5) ? arrays.numbers<const T, 2>({b, m}, -1, 1) : View<const T, 2>();
  const PairSums<T> out{sometimes<T>(random, arrays, b, m),
                        sometimes<int64_t>(random, arrays, b, m),
                        sometimes<T>(random, arrays, b, m)};
  relative_loss(scores, losses, weights, random.parameter(random.pick({0., 1e-6})),
                arrays.out<T, 2>({b, relative_loss_scratch(m)}), out);
  for (int64_t i = 0; out.sums.present() && i < b * m; ++i)
    EXPECT(out.sums.data[i] > T(-1e-3) && out.sums.data[i] < T(1e6));
  for (int64_t i = 0; out.pairs.present() && i < b * m; ++i)
    EXPECT(out.pairs.data[i] >= 0 && out.pairs.data[i] < m);
}

template <class T>
void order(Random& random) {
  Arrays arrays(random);
  const int64_t b = random.between(0, 4), m = random.between(0, 60);
  const auto scores = arrays.numbers<const T, 2>({b, m}, -1, 1);
  const Order out{sometimes<int64_t>(random, arrays, b, random.count(random.between(0, m))),
                  sometimes<int64_t>(random, arrays, b, m)};
  rank(scores, random.chance(0.5), arrays.out<int64_t, 2>({b, rank_scratch<T>(m)}), out);
  for (int64_t i = 0; out.ids.present() && i < out.ids.size(); ++i)
    EXPECT(out.ids.data[i] >= 0 && out.ids.data[i] < m);
  for (int64_t i = 0; out.ranks.present() && i < b * m; ++i)
    EXPECT(out.ranks.data[i] >= 0 && out.ranks.data[i] < m);
}

}  // namespace

int main(int count, char** arguments) {
  return run(count, arguments,
             {{"relative_loss<float>", loss<float>},
              {"relative_loss<double>", loss<double>},
              {"rank<float>", order<float>},
              {"rank<double>", order<double>}});
}
