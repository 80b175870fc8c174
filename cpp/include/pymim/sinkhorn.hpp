// Entropic optimal transport by Sinkhorn scaling, in the log domain: the plan between B rows and K
// columns is
//   P[b k] = exp(scores[b k] / epsilon + row[b] + column[k]),
// with the potentials `row` and `column` such that its rows and columns have the wanted sums. A
// pass over the scores takes each exponential again, relative to a maximum or to what the
// potentials already say, so that nothing has to be stored, one read makes a whole iteration, and
// nothing can overflow.
//
// S independent problems, B rows, K columns of scores, L potentials of columns: L = K, or K + 1
// where a last, virtual column of zero scores takes the mass that a partial plan leaves out.
//
// On CUDA the scores may also be the products of features and prototypes, of width D. Then they are
// never stored: each pass makes them again, a tile at a time, as an attention does, and memory is
// linear in B and K.
#pragma once

#include "pymim/view.hpp"

namespace pymim {

// What is computed with: double for double, else float.
template <class T>
using Computed = std::conditional_t<std::is_same_v<T, double>, double, float>;

// T is float, double, bfloat16 or float16.
template <class T>
struct Scores {
  View<const T, 3> values;  // [S B K], or beside prototypes the features [S B D]
  double epsilon = 1;
  View<const T, 3> prototypes{};  // [optional, CUDA] [S K D], or [1 K D] for all problems

  int64_t columns() const { return prototypes.present() ? prototypes[1] : values[2]; }
};

// Logarithms of the wanted sums; kNothing stands for that of zero.
template <class R>
struct Marginals {
  View<const R, 2> log_rows;     // [S B]
  View<const R, 2> log_columns;  // [S L]
  // 1 meets a side's sums, gamma / (gamma + epsilon) only asks for them, by gamma KL. The virtual
  // column's is 1.
  double row_power = 1, column_power = 1;
};
inline constexpr double kNothing = -1e30;

template <class R>
struct Potentials {
  View<R, 2> row;     // [S B]
  View<R, 2> column;  // [S L]
};

struct Schedule {
  // Each scales both sides; where first and last are one side, it is scaled once more.
  int64_t iterations = 3;
  bool rows_first = false;
  bool rows_last = true;
  double tolerance = 0;  // a problem stops where its error is at most this
  // Whether to stay in the log domain even where the scalings themselves could be computed with.
  bool log_domain = false;
};

template <class R>
struct Solution {
  Potentials<R> potentials;  // [in, out] the start, then the solution
  View<R, 3> plan;           // [out, optional] [S B K]
  // [out, optional] [S B] the column with the most of each row; lower id first; on CUDA -1 where
  // all are NaN
  View<int64_t, 2> labels;
  // [out, optional] [S] sum |P's column sums - wanted| / sum wanted, after the last row step: what
  // it costs to add those columns up can be saved.
  View<R, 1> error;
  View<int64_t, 1> iterations;  // [out] [S]
};

// Elements of `scratch` for any function below; `product` where there are prototypes.
int64_t sinkhorn_scratch(Device device, int64_t s, int64_t b, int64_t l, bool product = false);

template <class T>
void sinkhorn(Scores<T> scores, Marginals<Computed<T>> marginals, Schedule schedule,
              Solution<Computed<T>> out, View<Computed<T>, 1> scratch, Stream stream = {});

// The half-steps, for a caller that holds some of the rows: between them it combines the columns'
// log-sums.

// log_sums[l] = log sum_b exp(scores[b l] / epsilon + row[b]).
template <class T>
void sinkhorn_columns(Scores<T> scores, View<const Computed<T>, 2> row,
                      View<Computed<T>, 2> log_sums, View<Computed<T>, 1> scratch,
                      Stream stream = {});

// In one read, potentials.row becomes row_power (log_rows[b] - log sum_l exp(scores[b l] / epsilon
// + column[l])), and then log_sums is as above. Only the rows of `marginals` are read.
template <class T>
void sinkhorn_sweep(Scores<T> scores, Marginals<Computed<T>> marginals,
                    Potentials<Computed<T>> potentials, View<Computed<T>, 2> log_sums,
                    View<Computed<T>, 1> scratch, Stream stream = {});

template <class T>
void sinkhorn_plan(Scores<T> scores, Potentials<const Computed<T>> potentials,
                   View<Computed<T>, 3> plan, View<Computed<T>, 1> scratch, Stream stream = {});

template <class T>
void sinkhorn_labels(Scores<T> scores, View<const Computed<T>, 2> column, View<int64_t, 2> labels,
                     View<Computed<T>, 1> scratch, Stream stream = {});

}  // namespace pymim
