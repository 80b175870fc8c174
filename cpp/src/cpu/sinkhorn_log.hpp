// Sinkhorn in the log domain, for any range of scores. It serves where the scaling path
// (sinkhorn_scaling.hpp) cannot: for scores out of its range, and for the half-steps of a caller
// that holds only some of the rows.
//
// The rows' half-step is a log-sum-exp less its maximum, so nothing overflows and no row vanishes.
// It gives the plan's rows, and these added up give the columns' half-step. Where a column of the
// plan has next to nothing, its terms may have vanished: then all columns are taken by a
// log-sum-exp of their own, column_sums. To take that each time would need no such case, and 1.9
// times as long.
#pragma once

#include <utility>

#include "sinkhorn_problem.hpp"

namespace pymim::cpu::PYMIM_ISA {
namespace {

// terms[c] = score + column; returns the largest.
template <class T, class R>
R row_terms(const Problem<T>& p, const T* scores, R* terms) {
  const R scale = p.scale, *column = p.column;
  const int64_t k = p.k;
  R top = std::numeric_limits<R>::lowest();
  if (p.l > k) top = terms[k] = column[k];
#pragma omp simd reduction(max : top)
  for (int64_t c = 0; c < k; ++c) {
    const R t = widen(scores[c]) * scale + column[c];
    terms[c] = t;
    top = t > top ? t : top;
  }
  return top;
}

// Gives one row its potential. Leaves the row's exponentials in `terms`; returns what makes the
// plan of them.
template <class T, class R>
R scale_row(const Problem<T>& p, const T* scores, R wanted, R power, R* potential, R* terms) {
  const R top = row_terms(p, scores, terms);
  const int64_t l = p.l;
  R sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t c = 0; c < l; ++c) sum += terms[c] = exp2(terms[c] - top);
  const R scaled = power * (wanted * static_cast<R>(kLog2e) - (top + std::log2(sum)));
  *potential = scaled * static_cast<R>(kLn2);
  return std::exp2(scaled + top);
}

// Scales the rows of a part, and adds the plan's columns up.
template <class T, class R>
void scale_part(const Problem<T>& p, int64_t part, R* terms, int64_t first, int64_t last,
                const R* wanted, R power, R* row, Output<R> out) {
  R* sums = p.sums(part);
  std::fill_n(sums, p.width, R(0));
  for (int64_t i = first; i < last; ++i) {
    const T* scores = p.scores + i * p.k;
    const R factor = scale_row(p, scores, wanted[i], power, row + i, terms);
#pragma omp simd
    for (int64_t c = 0; c < p.l; ++c) sums[c] += terms[c] * factor;
    if (out.plan) write_scaled(terms, factor, p.k, out.plan + i * p.k);
    if (out.labels) out.labels[i] = row_label(p, scores);
  }
}

// Adds rows 0, 1, .. n of scores, plus `shift`, to running sums of exponentials relative to running
// maxima.
template <class T, class R, size_t... n>
void fold_rows(const T* scores, int64_t k, R scale, const R* shift, R* maxima, R* sums,
               std::index_sequence<n...>) {
#pragma omp simd
  for (int64_t c = 0; c < k; ++c) {
    const R terms[] = {
        (widen(scores[n * static_cast<size_t>(k) + static_cast<size_t>(c)]) * scale + shift[n])...};
    R top = maxima[c];
    ((top = terms[n] > top ? terms[n] : top), ...);
    R sum = sums[c] * exp2(maxima[c] - top);
    ((sum += exp2(terms[n] - top)), ...);
    maxima[c] = top;
    sums[c] = sum;
  }
}

template <class T, class R>
void fold_part(const Problem<T>& p, int64_t part, int64_t first, int64_t last, const R* row) {
  R *maxima = p.maxima(part), *sums = p.sums(part);
  std::fill_n(maxima, p.l, std::numeric_limits<R>::lowest() / 2);
  std::fill_n(sums, p.l, R(0));
  constexpr size_t N = 8;
  constexpr std::index_sequence<0> one;
  R shift[N];
  for (int64_t i = first; i < last; i += N) {
    const int64_t n = std::min<int64_t>(N, last - i);
    for (int64_t j = 0; j < n; ++j) shift[j] = row[i + j] * static_cast<R>(kLog2e);
    if (n == int64_t{N})
      fold_rows(p.scores + i * p.k, p.k, p.scale, shift, maxima, sums,
                std::make_index_sequence<N>());
    else
      for (int64_t j = 0; j < n; ++j)
        fold_rows(p.scores + (i + j) * p.k, p.k, p.scale, shift + j, maxima, sums, one);
    if (p.l > p.k) {
      const R zeros[N] = {};
      for (int64_t j = 0; j < n; ++j)
        fold_rows(zeros, 1, p.scale, shift + j, maxima + p.k, sums + p.k, one);
    }
  }
}

// log_sums[c] = log2 sum_b 2^(score + row), whatever the range of the terms.
template <class T, class R>
void column_sums(const Problem<T>& p, const R* row, R* log_sums) {
  p.each_part(false, [&](int64_t part, R*, int64_t first, int64_t last) {
    fold_part(p, part, first, last, row);
  });
  R *maxima = p.maxima(0), *sums = p.sums(0);
  for (int64_t part = 1; part < p.parts.count; ++part) {
    const R *other = p.maxima(part), *added = p.sums(part);
#pragma omp simd
    for (int64_t c = 0; c < p.l; ++c) {
      const R top = other[c] > maxima[c] ? other[c] : maxima[c];
      sums[c] = sums[c] * exp2(maxima[c] - top) + added[c] * exp2(other[c] - top);
      maxima[c] = top;
    }
  }
#pragma omp simd
  for (int64_t c = 0; c < p.l; ++c) log_sums[c] = maxima[c] + log2(sums[c]);
}

// Scales the rows, then takes column_sums of them: from the plan's columns, which scale_part adds
// up, where all of these that count are in range.
template <class T, class R>
void sweep(const Problem<T>& p, const R* wanted, R power, R* row, R* log_sums, Output<R> out = {}) {
  p.each_part(false, [&](int64_t part, R* terms, int64_t first, int64_t last) {
    scale_part(p, part, terms, first, last, wanted, power, row, out);
  });
  const R *sums = p.merged_sums(), *column = p.column;
  bool lost = false;
  for (int64_t c = 0; c < p.l; ++c) lost |= column[c] > R(kNothing / 2) && !in_range(sums[c]);
  if (lost) return column_sums(p, row, log_sums);
#pragma omp simd
  for (int64_t c = 0; c < p.l; ++c)
    log_sums[c] = column[c] > R(kNothing / 2) ? log2(sums[c]) - column[c] : 0;
}

// log_sums becomes the columns' new potentials; returns by how much the old ones missed.
template <class T, class R>
R next_columns(const Problem<T>& p, const R* wanted, R power, R* log_sums) {
  R missed = 0, total = 0;
#pragma omp simd reduction(+ : missed, total)
  for (int64_t c = 0; c < p.l; ++c) {
    const R scaled = (c < p.k ? power : R(1)) * (wanted[c] * static_cast<R>(kLog2e) - log_sums[c]);
    const R mass = exp2(wanted[c] * static_cast<R>(kLog2e));
    const R ratio = exp2(p.column[c] - scaled) - 1;
    missed += mass > 0 ? mass * (ratio < 0 ? -ratio : ratio) : 0;
    total += mass;
    log_sums[c] = scaled;
  }
  return missed / total;
}

// What `iterate` (sinkhorn.cpp) asks of a domain.
template <class T, class R = Computed<T>>
class LogDomain {
 public:
  LogDomain(const Problem<T>& p, const Task<R>& task) : p_(p), task_(task), next_(p.scaling) {
    p_.set_column(task_.column);
  }

  bool lost() const { return false; }
  void first_columns() {
    column_sums(p_, task_.row, next_);
    column_step();
    take_columns();
  }
  // The columns are summed in any case: it costs next to nothing.
  void sweep_rows(Output<R> out, bool) {
    sweep(p_, task_.log_rows, task_.row_power, task_.row, next_, out);
  }
  R column_step() { return next_columns(p_, task_.log_columns, task_.column_power, next_); }
  void take_columns() { std::copy_n(next_, p_.l, p_.column); }
  void write_potentials() {
    for (int64_t c = 0; c < p_.l; ++c) task_.column[c] = p_.column[c] * static_cast<R>(kLn2);
  }

 private:
  const Problem<T>& p_;
  const Task<R>& task_;
  R* next_;  // [L] the columns' next potentials, to base 2
};

}  // namespace
}  // namespace pymim::cpu::PYMIM_ISA
