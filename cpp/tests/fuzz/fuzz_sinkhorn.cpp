#include <cmath>

#include "../../src/key.hpp"
#include "fuzz.hpp"
#include "pymim/sinkhorn.hpp"

namespace {

using namespace pymim;
using namespace pymim::fuzz;

// The arrays of one call, for scores of type T.
template <class T>
struct Call {
  using R = Computed<T>;

  Random& random;
  Arrays arrays{random};
  // Now and then more than the tiles of a GPU.
  const int64_t s = random.between(0, 3),
                b = random.count(random.between(1, random.chance(0.05) ? 300 : 70)),
                k = random.count(random.between(1, random.chance(0.05) ? 200 : 40)),
                l = random.count(k + random.between(0, 1)),
                d = random.count(random.between(1, random.chance(0.05) ? 300 : 40));
  const bool product = random.chance(0.2);  // features and prototypes, which the CPU refuses
  const Scores<T> scores{
      product ? numbers({s, b, d}) : numbers({s, b, k}), random.parameter(random.real(0.02, 2.)),
      product ? numbers({random.pick({s, int64_t{1}}), k, d}) : View<const T, 3>()};
  const View<R, 1> scratch = arrays.template out<R, 1>({random.count(
      sinkhorn_scratch(scores.values.device, scores.values[0], scores.values[1], l, product))});

  explicit Call(Random& random) : random(random) {}

  View<const T, 3> numbers(std::array<int64_t, 3> shape) {
    if constexpr (std::is_floating_point_v<T>)
      return arrays.template numbers<T, 3>(shape, -3., 3.);
    else
      return arrays.template view<T, 3>(
          shape, [&](int64_t) { return T{static_cast<uint16_t>(random.word() & 0xbfff)}; });
  }

  // Potentials or logarithms of sums; now and then that of nothing.
  View<R, 2> logarithms(int64_t n) {
    return arrays.template view<R, 2>({s, n}, [&](int64_t) {
      return static_cast<R>(random.chance(0.01) ? kNothing : random.real(-2., 2.));
    });
  }

  Marginals<R> marginals() {
    return {logarithms(b), logarithms(l), random.parameter(random.real(0.1, 1.)),
            random.parameter(1.)};
  }
  View<R, 2> column_output() { return arrays.template out<R, 2>({s, l}); }
  View<int64_t, 2> label_output() { return arrays.template out<int64_t, 2>({s, b}); }
  View<R, 3> plan_output() { return arrays.template out<R, 3>({s, b, k}); }
  Schedule schedule() {
    return {random.count(random.between(1, 4)), random.chance(0.5), random.chance(0.5),
            random.chance(0.5) ? random.parameter(1e-3) : 0, random.chance(0.3)};
  }
};

// Every label is a column's, or -1 on a GPU for a row of a problem that is `lost`: whose plan is
// NaN.
template <class Lost>
void expect_columns(const View<int64_t, 2>& labels, int64_t k, const Lost& lost) {
  for (int64_t i = 0; i < labels.size(); ++i) {
    const int64_t label = labels.data[i];
    EXPECT((label >= 0 && label < k) || (label == -1 && lost(i / labels[1], i)));
  }
}

template <class R>
bool is_nan(const R* numbers, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    if (std::isnan(numbers[i])) return true;
  return false;
}

double widened(double x) { return x; }
template <class T>
double widened(T x) {
  return to_float(x);
}

// Whether a number is none, or its products are beyond those of float.
template <class T>
bool is_wild(const T* numbers, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    if (!(std::fabs(widened(numbers[i])) < 1e15)) return true;
  return false;
}

template <class View>
void expect_masses(const View& plan) {
  for (int64_t i = 0; i < plan.size(); ++i) EXPECT(plan.data[i] >= 0 || std::isnan(plan.data[i]));
}

template <class T>
void solution(Random& random) {
  using R = Computed<T>;
  Call<T> call(random);
  const Schedule schedule = call.schedule();
  Solution<R> out{{call.logarithms(call.b), call.logarithms(call.l)},
                  random.chance(0.7) ? call.plan_output() : View<R, 3>(),
                  random.chance(0.7) ? call.label_output() : View<int64_t, 2>(),
                  call.arrays.template out<R, 1>({call.s}),
                  call.arrays.template out<int64_t, 1>({call.s})};
  sinkhorn(call.scores, call.marginals(), schedule, out, call.scratch);
  if (out.plan.present()) expect_masses(out.plan);
  if (out.labels.present())
    expect_columns(out.labels, call.scores.columns(), [&](int64_t problem, int64_t row) {
      const auto [rows, columns] = out.potentials;
      return std::isnan(rows.data[row]) || is_nan(columns.data + problem * call.l, call.l);
    });
  for (int64_t i = 0; i < out.iterations.size(); ++i)
    EXPECT(out.iterations.data[i] > 0 && out.iterations.data[i] <= schedule.iterations);
}

template <class T>
void columns(Random& random) {
  Call<T> call(random);
  const View<Computed<T>, 2> row = call.logarithms(call.b);
  sinkhorn_columns<T>(call.scores, row, call.column_output(), call.scratch);
}

template <class T>
void sweep(Random& random) {
  using R = Computed<T>;
  Call<T> call(random);
  const Potentials<R> potentials{call.logarithms(call.b), call.logarithms(call.l)};
  sinkhorn_sweep(call.scores, call.marginals(), potentials, call.column_output(), call.scratch);
}

template <class T>
void plan(Random& random) {
  using R = Computed<T>;
  Call<T> call(random);
  const Potentials<const R> potentials{call.logarithms(call.b), call.logarithms(call.l)};
  const View<R, 3> out = call.plan_output();
  sinkhorn_plan(call.scores, potentials, out, call.scratch);
  expect_masses(out);
}

template <class T>
void labels(Random& random) {
  Call<T> call(random);
  const View<Computed<T>, 2> column = call.logarithms(call.l);
  const View<int64_t, 2> out = call.label_output();
  sinkhorn_labels<T>(call.scores, column, out, call.scratch);
  expect_columns(out, call.scores.columns(), [&](int64_t, int64_t row) {
    const auto& [values, epsilon, prototypes] = call.scores;
    return is_wild(values.data + row * values[2], values[2]) ||
           is_wild(prototypes.data, prototypes.size());
  });
}

}  // namespace

#define PYMIM_TRIALS_FOR(T)                                                            \
  {"sinkhorn " #T, solution<T>}, {"columns " #T, columns<T>}, {"sweep " #T, sweep<T>}, \
      {"plan " #T, plan<T>}, {                                                         \
    "labels " #T, labels<T>                                                            \
  }

int main(int count, char** arguments) {
  return run(count, arguments,
             {PYMIM_TRIALS_FOR(float), PYMIM_TRIALS_FOR(double), PYMIM_TRIALS_FOR(bfloat16),
              PYMIM_TRIALS_FOR(float16)});
}
