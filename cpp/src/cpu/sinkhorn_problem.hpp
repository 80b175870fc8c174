// One problem of Sinkhorn on the CPU: passes over its rows, SIMD over the columns. Potentials are
// natural logarithms outside and logarithms to base 2 inside, where an exponential is cheapest.
// How potentials are found is in sinkhorn_log.hpp and sinkhorn_scaling.hpp; what they make of the
// scores, the plan and the labels, is here.
#pragma once

#include <limits>

#include "../sinkhorn.hpp"
#include "exp2.hpp"
#include "parallel.hpp"
#include "stream.hpp"

namespace pymim::cpu::PYMIM_ISA {
namespace {

constexpr double kLog2e = 1.4426950408889634, kLn2 = 0.6931471805599453;
// Nanoseconds: of a score in one pass, of a number added up.
constexpr double kTerm = 0.2, kSummand = 0.1;

// One of the S problems, and its scratch.
template <class T>
struct Problem {
  using R = Computed<T>;

  const T* scores;
  int64_t b, k, l, width;  // width: L, padded
  Parts parts;
  R scale;     // of the scores, to base 2
  R* column;   // [L] the columns' potentials, to base 2
  R* partial;  // [parts 1+kRowsAtOnce width] for each part sums, maxima and terms of a row
  R* scaling;  // [3 width + 2 padded(B) + kernel] of the scaling path; the log domain takes a width

  Problem(const Scores<T>& all, int64_t s, int64_t l, R* slot)
      : scores(all.values.data + s * all.values[1] * all.values[2]),
        b(all.values[1]),
        k(all.values[2]),
        l(l),
        width(padded(l)),
        parts(false, 1, b),
        scale(static_cast<R>(kLog2e / all.epsilon)),
        column(slot),
        partial(column + width),
        scaling(column + padded(slot_size(parts, width))) {}

  void set_column(const R* potentials) const {
    for (int64_t c = 0; c < l; ++c) column[c] = potentials[c] * static_cast<R>(kLog2e);
  }
  R* sums(int64_t part) const { return partial + (1 + kRowsAtOnce) * part * width; }
  R* maxima(int64_t part) const { return sums(part) + width; }
  R* terms(int worker) const { return sums(worker) + 2 * width; }

  // The sums of all parts, in the place of the first's.
  const R* merged_sums() const {
    R* all = sums(0);
    parallel_for(width, kSummand * static_cast<double>(parts.count),
                 [&](int64_t begin, int64_t end, int) {
                   for (int64_t part = 1; part < parts.count; ++part) {
                     const R* added = sums(part);
                     for (int64_t c = begin; c < end; ++c) all[c] += added[c];
                   }
                 });
    return all;
  }

  // Calls body(part, room for a row, first row, last row), on as many threads as are free, from the
  // last part on if `backwards`.
  template <class Body>
  void each_part(bool backwards, Body body) const {
    parallel_for(parts.count, kTerm * static_cast<double>(parts.rows * width),
                 [&](int64_t begin, int64_t end, int worker) {
                   for (int64_t i = begin; i < end; ++i) {
                     const int64_t part = backwards ? parts.count - 1 - i : i;
                     body(part, terms(worker), part * parts.rows,
                          std::min(b, (part + 1) * parts.rows));
                   }
                 });
  }
};

// Of a sum in this range, what vanished at the ends of the format cannot matter.
template <class R>
bool in_range(R sum) {
  constexpr bool wide = std::is_same_v<R, double>;
  return sum > (wide ? R(0x1p-500) : R(0x1p-45)) && sum < (wide ? R(0x1p500) : R(0x1p64));
}

// Where a pass over the rows writes; nothing where absent.
template <class R>
struct Output {
  R* plan = nullptr;
  int64_t* labels = nullptr;
};

// What one problem is to meet, and where its solution goes.
template <class R>
struct Task {
  const R *log_rows, *log_columns;
  R row_power, column_power;
  R *row, *column;  // potentials, natural logarithms: the start, then the solution
  Output<R> output;

  template <class T>
  Task(const Problem<T>& p, const Marginals<R>& marginals, const Solution<R>& out, int64_t s)
      : log_rows(marginals.log_rows.data + s * p.b),
        log_columns(marginals.log_columns.data + s * p.l),
        row_power(static_cast<R>(marginals.row_power)),
        column_power(static_cast<R>(marginals.column_power)),
        row(out.potentials.row.data + s * p.b),
        column(out.potentials.column.data + s * p.l),
        output{out.plan.present() ? out.plan.data + s * p.b * p.k : nullptr,
               out.labels.present() ? out.labels.data + s * p.b : nullptr} {}
};

// The column that has the most of a row's plan.
template <class T, class R = Computed<T>>
int64_t row_label(const Problem<T>& p, const T* scores) {
  const R scale = p.scale, *column = p.column;
  return first_greatest<R>(p.k, [=](auto width, int64_t c) {
    return load(width, scores + c) * scale + load(width, column + c);
  });
}

template <class R>
void write_scaled(const R* terms, R factor, int64_t n, R* to) {
  stream(n, to, [&](auto width, int64_t c) { return load(width, terms + c) * factor; });
}

template <class T, class R>
void write_rows(const Problem<T>& p, const R* row, Output<R> out) {
  p.each_part(false, [&](int64_t, R* terms, int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const T* scores = p.scores + i * p.k;
      if (out.labels) out.labels[i] = row_label(p, scores);
      if (!out.plan) continue;
      const R shift = row[i] * static_cast<R>(kLog2e), scale = p.scale, *column = p.column;
      const int64_t k = p.k;
#pragma omp simd
      for (int64_t c = 0; c < k; ++c) terms[c] = exp2(widen(scores[c]) * scale + column[c] + shift);
      write_scaled(terms, R(1), p.k, out.plan + i * p.k);
    }
  });
}

}  // namespace
}  // namespace pymim::cpu::PYMIM_ISA
