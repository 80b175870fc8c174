// The scaling path of one Sinkhorn problem: the plan is u[b] E[b k] v[k] with the kernel E =
// 2^score as it is, no maxima and no shifts. A kernel that fits in half of a core's cache is made
// once; a larger one is made again at each pass, for less than reading it back would take. Where a
// sum leaves the range in which what vanishes at the ends of the format cannot matter, the problem
// is left to the log domain (sinkhorn_log.hpp). With AVX-512 this path makes it 2 to 3 times as
// fast.
#pragma once

#include <atomic>
#include <utility>

#include "sinkhorn_problem.hpp"

namespace pymim::cpu::PYMIM_ISA {
namespace {

// Adds to `sums` the products with v of rows 0, 1, .. n of terms.
template <class R, size_t... n>
void dot_rows(const R* terms, const R* v, int64_t width, R* dots, std::index_sequence<n...>) {
  constexpr Packed<R> packed;
  typename Packed<R>::Lanes sums[sizeof...(n)] = {};
  for (int64_t c = 0; c < width; c += Packed<R>::kLanes) {
    const auto factor = load(packed, v + c);
    ((sums[n] += load(packed, terms + static_cast<int64_t>(n) * width + c) * factor), ...);
  }
  ((dots[n] = sum(packed, sums[n])), ...);
}

// Adds rows 0, 1, .. n of terms, times their factors, to the sums.
template <class R, size_t... n>
void add_rows(const R* terms, int64_t l, const R* factors, R* sums, std::index_sequence<n...>) {
#pragma omp simd
  for (int64_t c = 0; c < l; ++c)
    sums[c] += ((terms[static_cast<int64_t>(n) * l + c] * factors[n]) + ...);
}

// What `iterate` (sinkhorn.cpp) asks of a domain, on scalings.
template <class T, class R = Computed<T>>
class Scaling {
 public:
  Scaling(const Problem<T>& p, const Task<R>& task)
      : p_(p),
        task_(task),
        v_(p.scaling),
        next_(v_ + p.width),
        columns_(next_ + p.width),
        rows_(columns_ + p.width),
        dots_(rows_ + padded(p.b)),
        kernel_(kernel_size(p.b, p.l) ? dots_ + padded(p.b) : nullptr) {
    const R log2e = static_cast<R>(kLog2e);
#pragma omp simd
    for (int64_t i = 0; i < p_.b; ++i) rows_[i] = exp2(task.log_rows[i] * log2e);
#pragma omp simd
    for (int64_t c = 0; c < p_.l; ++c) columns_[c] = exp2(task.log_columns[c] * log2e);
#pragma omp simd
    for (int64_t c = 0; c < p_.l; ++c) v_[c] = exp2(task.column[c] * log2e);
    std::fill(v_ + p_.l, v_ + p_.width, R(0));
    std::fill(next_ + p_.l, next_ + p_.width, R(0));
  }

  // Whether a sum has left its range. The potentials are then as they were, for the log domain to
  // start from.
  bool lost() const { return lost_; }

  void first_columns() {
    first_sums(task_.row);
    column_step();
    take_columns();
  }

  void sweep_rows(Output<R> out, bool summed) {
    std::atomic<int64_t> lost{0};
    const R power = task_.row_power;
    pass(
        summed,
        [&](int64_t i) {
          if (!in_range(dots_[i])) ++lost;
          return power == 1 ? rows_[i] / dots_[i] : std::pow(rows_[i] / dots_[i], power);
        },
        [&](int64_t i, R u, const R* terms) {
          const R* v = v_;
          const auto plan = [=](auto width, int64_t c) {
            return load(width, terms + c) * load(width, v + c) * u;
          };
          if (out.labels) out.labels[i] = first_greatest<R>(p_.k, plan);
          if (out.plan) stream(p_.k, out.plan + i * p_.k, plan);
        });
    lost_ = lost_ || lost;
  }

  // next_ becomes what the columns are to be scaled by; returns by how much v_ missed. What is read
  // is named here first, as no loop is vectorised whose stores might change a member.
  R column_step() {
    const R *sums = p_.merged_sums(), *v = v_, *columns = columns_, power = task_.column_power;
    R *next = next_, missed = 0, total = 0, lost = 0;
#pragma omp simd
    for (int64_t c = 0; c < p_.l; ++c) next[c] = columns[c] / sums[c];
    if (power != 1)
#pragma omp simd
      for (int64_t c = 0; c < p_.k; ++c) next[c] = exp2(power * log2(next[c]));
#pragma omp simd reduction(+ : missed, total, lost)
    for (int64_t c = 0; c < p_.l; ++c) {
      const R mass = columns[c], off = v[c] / next[c] - 1;
      missed += mass > 0 ? mass * (off < 0 ? -off : off) : 0;
      total += mass;
      lost += mass > 0 && !in_range(sums[c]) ? R(1) : R(0);
      next[c] = mass > 0 ? next[c] : 0;
    }
    lost_ = lost_ || lost > 0;
    return missed / total;
  }

  void take_columns() { std::swap(v_, next_); }

  void write_potentials() {
    const R ln2 = static_cast<R>(kLn2), power = task_.row_power;
#pragma omp simd
    for (int64_t c = 0; c < p_.l; ++c) p_.column[c] = v_[c] > 0 ? log2(v_[c]) : R(kNothing);
    for (int64_t c = 0; c < p_.l; ++c) task_.column[c] = p_.column[c] * ln2;
#pragma omp simd
    for (int64_t i = 0; i < p_.b; ++i)
      task_.row[i] = power * (task_.log_rows[i] - log2(dots_[i]) * ln2);
  }

 private:
  static constexpr std::make_index_sequence<kRowsAtOnce> kBlock{};
  static constexpr std::index_sequence<0> kOne{};
  // How far ahead memory is read, while rows in cache are added.
  static constexpr int64_t kAhead = 1 << 13;

  // A row of the kernel, of zero scores beyond K, and its product with v. The first time that
  // scores are read they are checked: those too large for an exponential make NaN, and the problem
  // one for the log domain.
  template <bool checked>
  R make_row(const T* scores, R* terms) const {
    constexpr Packed<R> packed;
    constexpr int64_t lanes = Packed<R>::kLanes;
    const R* v = v_;
    const int64_t k = p_.k, width = p_.width;
    const Exp2<R> kernel(p_.scale);
    typename Packed<R>::Lanes dot{};
    const auto make = [&](auto values, int64_t c) {
      const auto term = checked ? kernel.checked(values) : kernel(values);
      store(packed, terms + c, term);
      dot += term * load(packed, v + c);
    };
    int64_t c = 0;
    for (; c + lanes <= k; c += lanes) {
      __builtin_prefetch(scores + c + kAhead, 0, 2);
      make(load(packed, scores + c), c);
    }
    for (; c < width; c += lanes) make(load(packed, scores + c, k - c), c);
    return sum(packed, dot);
  }

  // The kernel of n rows from i on, and in dots_ their products with v.
  const R* rows(int64_t i, int64_t n, R* room) {
    R* terms = kernel_ ? kernel_ + i * p_.width : room;
    if (kernel_ && made_) {
      if (n == kRowsAtOnce)
        dot_rows(terms, v_, p_.width, dots_ + i, kBlock);
      else
        for (int64_t j = 0; j < n; ++j)
          dot_rows(terms + j * p_.width, v_, p_.width, dots_ + i + j, kOne);
    } else {
      for (int64_t j = 0; j < n; ++j) {
        const T* scores = p_.scores + (i + j) * p_.k;
        R* row = terms + j * p_.width;
        dots_[i + j] = made_ ? make_row<false>(scores, row) : make_row<true>(scores, row);
      }
    }
    return terms;
  }

  // Calls done(row, factor(row), terms) of each row of the kernel; adds the rows times their
  // factors to the columns' sums if `summed`. Every other time the parts come in the other order:
  // what was read last may still be in a cache. Why so: a row of the kernel is made, scaled,
  // written and added to the columns while it is in the nearest cache, so that scores are read once
  // an iteration and the kernel never is. With AVX-512 that makes 4096 x 3000 twice as fast as the
  // log domain.
  template <class Factor, class Done>
  void pass(bool summed, Factor factor, Done done) {
    p_.each_part(backwards_, [&](int64_t part, R* room, int64_t first, int64_t last) {
      R *sums = p_.sums(part), factors[kRowsAtOnce];
      std::fill_n(sums, p_.width, R(0));
      // A row that is made is added while it is in the nearest cache.
      const int64_t at_once = kernel_ ? kRowsAtOnce : 1;
      for (int64_t i = first; i < last; i += at_once) {
        const int64_t n = std::min(at_once, last - i);
        const R* terms = rows(i, n, room);
        for (int64_t j = 0; j < n; ++j)
          done(i + j, factors[j] = factor(i + j), terms + j * p_.width);
        if (!summed) continue;
        if (n == kRowsAtOnce)
          add_rows(terms, p_.width, factors, sums, kBlock);
        else
          for (int64_t j = 0; j < n; ++j)
            add_rows(terms + j * p_.width, p_.width, factors + j, sums, kOne);
      }
    });
    made_ = true;
    backwards_ = !backwards_;
  }

  // Before there are products with v: a kernel that is not kept need not even be written.
  void first_sums(const R* row) {
    const auto factor = [&](int64_t i) { return std::exp2(row[i] * static_cast<R>(kLog2e)); };
    if (kernel_) return pass(true, factor, [](int64_t, R, const R*) {});
    p_.each_part(backwards_, [&](int64_t part, R*, int64_t first, int64_t last) {
      R *sums = p_.sums(part), factors[kRowsAtOnce];
      std::fill_n(sums, p_.width, R(0));
      for (int64_t i = first; i < last; i += kRowsAtOnce) {
        const int64_t n = std::min(kRowsAtOnce, last - i);
        for (int64_t j = 0; j < n; ++j) factors[j] = factor(i + j);
        const T* scores = p_.scores + i * p_.k;
        if (n == kRowsAtOnce)
          add_made_rows(scores, factors, sums, kBlock);
        else
          for (int64_t j = 0; j < n; ++j) add_made_rows(scores + j * p_.k, factors + j, sums, kOne);
      }
    });
    made_ = true;
    backwards_ = !backwards_;
  }

  // Adds rows 0, 1, .. n of the kernel, made of scores, times their factors, to the sums.
  template <size_t... n>
  void add_made_rows(const T* scores, const R* factors, R* sums, std::index_sequence<n...>) const {
    constexpr Packed<R> packed;
    constexpr int64_t lanes = Packed<R>::kLanes;
    const int64_t k = p_.k;
    const Exp2<R> kernel(p_.scale);
    const auto add = [&](int64_t c, auto... values) {
      auto sum = load(packed, sums + c);
      ((sum += kernel.checked(values) * factors[n]), ...);
      store(packed, sums + c, sum);
    };
    int64_t c = 0;
    for (; c + lanes <= k; c += lanes) {
      (__builtin_prefetch(scores + static_cast<int64_t>(n) * k + c + kAhead, 0, 2), ...);
      add(c, load(packed, scores + static_cast<int64_t>(n) * k + c)...);
    }
    for (; c < p_.width; c += lanes)
      add(c, load(packed, scores + static_cast<int64_t>(n) * k + c, k - c)...);
  }

  const Problem<T>& p_;
  const Task<R>& task_;
  R *v_, *next_, *columns_;  // [width] scalings, those to come, wanted sums
  R *rows_, *dots_;          // [B] wanted sums, the kernel's products with v
  R* kernel_;                // [B width], or null where it is made again
  bool made_ = false,        // all scores have been read, and the kernel is there where it is kept
      backwards_ = false, lost_ = false;
};

}  // namespace
}  // namespace pymim::cpu::PYMIM_ISA
