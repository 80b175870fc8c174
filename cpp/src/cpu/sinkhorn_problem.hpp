// One problem of Sinkhorn on the CPU: passes over its rows, SIMD over the columns. Potentials are
// natural logarithms outside and logarithms to base 2 inside, where an exponential is cheapest.
#pragma once

#include <limits>
#include <utility>

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
  R* partial;  // [parts 1+kRowsAtOnce width]
  R* scaling;  // what the scaling path adds

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
  R* beside(int64_t part) const { return sums(part) + width; }

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

  // body(part, room for kRowsAtOnce rows, first row, last row), on as many threads as are free,
  // from the last part on if `backwards`.
  template <class Body>
  void each_part(bool backwards, Body body) const {
    parallel_for(parts.count, kTerm * static_cast<double>(parts.rows * width),
                 [&](int64_t begin, int64_t end, int worker) {
                   for (int64_t i = begin; i < end; ++i) {
                     const int64_t part = backwards ? parts.count - 1 - i : i;
                     body(part, beside(worker), part * parts.rows,
                          std::min(b, (part + 1) * parts.rows));
                   }
                 });
  }
};

// A sum of exponentials far from the ends of the format has lost nothing to them.
template <class R>
bool usable(R sum) {
  constexpr R bound = std::is_same_v<R, double> ? R(0x1p600) : R(0x1p60);
  return sum > 1 / bound && sum < bound;
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
void fold_part(const Problem<T>& p, int64_t first, int64_t last, const R* row, R* maxima, R* sums) {
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
    fold_part(p, first, last, row, p.beside(part), p.sums(part));
  });
  R *maxima = p.beside(0), *sums = p.sums(0);
  for (int64_t part = 1; part < p.parts.count; ++part) {
    const R *other = p.beside(part), *added = p.sums(part);
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

// out[c] = 2^(score + column + shift), and their sum.
template <class T, class R>
R exponentials(const Problem<T>& p, const T* scores, R shift, R* out) {
  const R scale = p.scale, *column = p.column;
  const int64_t k = p.k;
  R sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t c = 0; c < k; ++c) {
    const R term = exp2(widen(scores[c]) * scale + column[c] + shift);
    out[c] = term;
    sum += term;
  }
  if (p.l > p.k) sum += out[p.k] = exp2(p.column[p.k] + shift);
  return sum;
}

template <class T, class R = Computed<T>>
R row_maximum(const Problem<T>& p, const T* scores) {
  R top = p.l > p.k ? p.column[p.k] : std::numeric_limits<R>::lowest();
#pragma omp simd reduction(max : top)
  for (int64_t c = 0; c < p.k; ++c) {
    const R t = widen(scores[c]) * p.scale + p.column[c];
    top = t > top ? t : top;
  }
  return top;
}

// The column that has the most of a row's plan.
template <class T, class R = Computed<T>>
int64_t row_label(const Problem<T>& p, const T* scores) {
  const R scale = p.scale, *column = p.column;
  return first_greatest<R>(p.k, [=](auto width, int64_t c) {
    return load(width, scores + c) * scale + load(width, column + c);
  });
}

// Scales one row to its sum; leaves in `out` its exponentials and returns what they are to be
// multiplied by. The old potential is the shift: it keeps the sum near the wanted one; where not,
// the row's maximum is taken.
template <class T, class R>
R scale_row(const Problem<T>& p, const T* scores, R wanted, R power, R* potential, R* out) {
  R shift = *potential * static_cast<R>(kLog2e);
  R sum = exponentials(p, scores, shift, out);
  if (!usable(sum)) {
    shift = -row_maximum(p, scores);
    sum = exponentials(p, scores, shift, out);
  }
  const R scaled = power * (wanted * static_cast<R>(kLog2e) - (std::log2(sum) - shift));
  *potential = scaled * static_cast<R>(kLn2);
  return std::exp2(scaled - shift);
}

template <class R>
void write_scaled(const R* terms, R factor, int64_t n, R* to) {
  stream(n, to, [&](auto width, int64_t c) { return load(width, terms + c) * factor; });
}

// Where the last sweep writes.
template <class R>
struct Output {
  R* plan = nullptr;
  int64_t* labels = nullptr;
};

// Adds rows 0, 1, .. n of terms, times their factors, to the sums.
template <class R, size_t... n>
void add_rows(const R* terms, int64_t l, const R* factors, R* sums, std::index_sequence<n...>) {
#pragma omp simd
  for (int64_t c = 0; c < l; ++c)
    sums[c] += ((terms[static_cast<int64_t>(n) * l + c] * factors[n]) + ...);
}

template <class T, class R>
void sweep_part(const Problem<T>& p, int64_t part, R* terms, int64_t first, int64_t last,
                const R* wanted, R power, R* row, Output<R> out) {
  R* sums = p.sums(part);
  std::fill_n(sums, p.l, R(0));
  R factors[kRowsAtOnce];
  for (int64_t i = first; i < last; i += kRowsAtOnce) {
    const int64_t n = std::min(kRowsAtOnce, last - i);
    for (int64_t j = 0; j < n; ++j) {
      const T* scores = p.scores + (i + j) * p.k;
      factors[j] = scale_row(p, scores, wanted[i + j], power, row + i + j, terms + j * p.l);
      if (out.plan) write_scaled(terms + j * p.l, factors[j], p.k, out.plan + (i + j) * p.k);
      if (out.labels) out.labels[i + j] = row_label(p, scores);
    }
    if (n == kRowsAtOnce)
      add_rows(terms, p.l, factors, sums, std::make_index_sequence<kRowsAtOnce>());
    else
      for (int64_t j = 0; j < n; ++j)
        add_rows(terms + j * p.l, p.l, factors + j, sums, std::index_sequence<0>());
  }
}

// Scales the rows, then column_sums: from the same exponentials, unless a column's have left the
// format.
template <class T, class R>
void sweep(const Problem<T>& p, const R* wanted, R power, R* row, R* log_sums, Output<R> out = {}) {
  p.each_part(false, [&](int64_t part, R* terms, int64_t first, int64_t last) {
    sweep_part(p, part, terms, first, last, wanted, power, row, out);
  });
  const R* sums = p.merged_sums();
  int64_t lost = 0;
  for (int64_t c = 0; c < p.l; ++c) lost += !usable(sums[c]) && p.column[c] > R(kNothing / 2);
  if (lost) return column_sums(p, row, log_sums);
#pragma omp simd
  for (int64_t c = 0; c < p.l; ++c)
    log_sums[c] = p.column[c] > R(kNothing / 2) ? log2(sums[c]) - p.column[c] : 0;
}

// log_sums becomes the columns' new potentials; returns by how much the old ones missed.
template <class T, class R>
R column_step(const Problem<T>& p, const R* wanted, R power, R* log_sums) {
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

template <class T, class R>
void write_rows(const Problem<T>& p, const R* row, Output<R> out) {
  p.each_part(false, [&](int64_t, R* terms, int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const T* scores = p.scores + i * p.k;
      if (out.labels) out.labels[i] = row_label(p, scores);
      if (!out.plan) continue;
      exponentials(p, scores, row[i] * static_cast<R>(kLog2e), terms);
      write_scaled(terms, R(1), p.k, out.plan + i * p.k);
    }
  });
}

}  // namespace
}  // namespace pymim::cpu::PYMIM_ISA
