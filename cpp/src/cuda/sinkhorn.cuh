// One problem of Sinkhorn on a GPU: where it lies, and what a block does for its rows and columns.
#pragma once

#include <limits>

#include "../sinkhorn.hpp"
#include "element.cuh"
#include "reduce.cuh"

namespace pymim::cuda {
namespace {

constexpr double kLog2e = 1.4426950408889634, kLn2 = 0.6931471805599453;
constexpr int kMostThreads = 256;
constexpr int64_t kShared = 96 * 1024;  // of a block at most
constexpr int64_t kMostHigh = 65535;    // blocks along the y and z of a grid

template <class T>
__device__ auto widen(T value) {
  if constexpr (std::is_same_v<T, double>)
    return value;
  else
    return to_float(value);
}

// 2^t, NaN for an infinite t.
__device__ inline float power_of_two(float t) { return exp2f(t) + t * 0; }
__device__ inline double power_of_two(double t) { return ::exp2(t) + t * 0; }
__device__ inline float log_of_two(float x) { return log2f(x); }
__device__ inline double log_of_two(double x) { return ::log2(x); }

__device__ inline bool usable(float sum) { return sum > 0x1p-60f && sum < 0x1p60f; }
__device__ inline bool usable(double sum) { return sum > 0x1p-600 && sum < 0x1p600; }

template <class R>
__device__ R lowest() {
  return std::is_same_v<R, double> ? R(-8e307) : R(-1.7e38f);
}

// A potential, of a row or column that is to sum to exp(wanted): NaN where its fractions are lost,
// beyond 2^14 in float. It would make sums that are not those wanted.
template <class R>
__device__ R with_fractions(R potential, R wanted) {
  constexpr R most = std::is_same_v<R, double> ? R(0x1p43) : R(0x1p14f);
  const bool kept = (potential <= most && potential >= -most) || wanted < R(kNothing / 2);
  return kept ? potential : std::numeric_limits<R>::quiet_NaN();
}

// All problems, and their scratch. The functions of a block are for problem blockIdx.x.
template <class T>
struct Problems {
  using R = Computed<T>;

  const T* scores;
  const T* prototypes;  // where the scores are products: `scores` are then the features
  int64_t width,
      own_vectors;  // of the products; how many prototypes lie between those of two problems
  int64_t s, b, k, l, part_rows, parts, slot;
  R scale;
  R* scratch;

  Problems(const Scores<T>& all, int64_t l, View<R, 1> scratch)
      : scores(all.values.data),
        prototypes(all.prototypes.data),
        width(all.values[2]),
        own_vectors(all.prototypes[0] == 1 ? 0 : all.prototypes[1]),
        s(all.values[0]),
        b(all.values[1]),
        k(all.columns()),
        l(l),
        scale(static_cast<R>(kLog2e / all.epsilon)),
        scratch(scratch.data) {
    const Parts fixed(true, std::max<int64_t>(s, 1), b);
    part_rows = fixed.rows;
    parts = fixed.count;
    slot = prototypes ? product_slot_size(std::max<int64_t>(s, 1), b, l) : slot_size(fixed, l);
  }

  __device__ const T* row(int64_t i) const { return scores + (blockIdx.x * b + i) * k; }
  __device__ R* column() const { return scratch + blockIdx.x * slot; }
  __device__ R* sums(int64_t part) const { return column() + (1 + (1 + kRowsAtOnce) * part) * l; }
  // A part's maxima, or the terms of the row that it is at.
  __device__ R* room(int64_t part) const { return sums(part) + l; }
  // A column has left the format: take its sum again.
  __device__ R& lost() const { return column()[slot - 2]; }
  __device__ R& done() const { return column()[slot - 1]; }
  __device__ R term(const T* scores, int64_t c) const {
    return (c < k ? widen(scores[c]) * scale : R(0)) + column()[c];
  }

  // A thread a column, up to a block's most.
  unsigned threads() const {
    return static_cast<unsigned>(std::min<int64_t>(kMostThreads, divide_up(l, kWarp) * kWarp));
  }
  // Problems lie along x, the axis of a grid that has no limit to speak of.
  dim3 by_problem(int64_t y = 1, int64_t z = 1) const {
    return dim3(static_cast<unsigned>(s), static_cast<unsigned>(y), static_cast<unsigned>(z));
  }
  dim3 by_part() const { return by_problem(parts); }
  dim3 by_column(int64_t z = 1) const { return by_problem(divide_up(l, threads()), z); }
};

// The block's combined value, in every thread.
template <class R, class Combine>
__device__ R block_reduce(R value, Combine combine) {
  __shared__ R of_warp[kMostThreads / kWarp];
  value = warp_reduce(value, combine);
  __syncthreads();
  if (lane_id() == 0) of_warp[threadIdx.x / kWarp] = value;
  __syncthreads();
  value = of_warp[0];
  for (unsigned i = 1; i < blockDim.x / kWarp; ++i) value = combine(value, of_warp[i]);
  return value;
}

template <class R>
__device__ R block_sum(R value) {
  return block_reduce(value, [](R a, R b) { return a + b; });
}

template <class T, class R>
__global__ void start_kernel(Problems<T> p, const R* column) {
  for (int64_t c = threadIdx.x; c < p.l; c += blockDim.x)
    p.column()[c] = column[blockIdx.x * p.l + c] * static_cast<R>(kLog2e);
  if (threadIdx.x == 0) p.lost() = p.done() = 0;
}

template <class T, class R>
__global__ void finish_kernel(Problems<T> p, R* column) {
  for (int64_t c = threadIdx.x; c < p.l; c += blockDim.x)
    column[blockIdx.x * p.l + c] = p.column()[c] * static_cast<R>(kLn2);
}

// Running sums of exponentials relative to running maxima; `always`, or where a problem has lost a
// column.
template <class T, class R>
__global__ void fold_kernel(Problems<T> p, const R* row, bool always) {
  if (!always && (p.done() > 0 || !(p.lost() > 0))) return;
  const int64_t c = int64_t{blockIdx.y} * blockDim.x + threadIdx.x, part = blockIdx.z;
  if (c >= p.l) return;
  const int64_t first = part * p.part_rows,
                last = first + p.part_rows < p.b ? first + p.part_rows : p.b;
  R top = lowest<R>(), sum = 0;
  for (int64_t i = first; i < last; ++i) {
    const R shift = row[blockIdx.x * p.b + i] * static_cast<R>(kLog2e);
    const R t = (c < p.k ? widen(p.row(i)[c]) * p.scale : R(0)) + shift;
    const R higher = t > top ? t : top;
    sum = sum * power_of_two(top - higher) + power_of_two(t - higher);
    top = higher;
  }
  p.room(part)[c] = top;
  p.sums(part)[c] = sum;
}

template <class T, class R>
__global__ void merge_folded_kernel(Problems<T> p, R* log_sums, bool always) {
  if (!always && (p.done() > 0 || !(p.lost() > 0))) return;
  const int64_t c = int64_t{blockIdx.y} * blockDim.x + threadIdx.x;
  if (c >= p.l) return;
  R top = p.room(0)[c], sum = p.sums(0)[c];
  for (int64_t part = 1; part < p.parts; ++part) {
    const R other = p.room(part)[c], higher = other > top ? other : top;
    sum = sum * power_of_two(top - higher) + p.sums(part)[c] * power_of_two(other - higher);
    top = higher;
  }
  log_sums[blockIdx.x * p.l + c] = top + log_of_two(sum);
}

template <class T, class R>
__device__ R exponentials(const Problems<T>& p, const T* scores, R shift, R* out) {
  R sum = 0;
  for (int64_t c = threadIdx.x; c < p.l; c += blockDim.x)
    sum += out[c] = power_of_two(p.term(scores, c) + shift);
  return block_sum(sum);
}

template <class T, class R>
__device__ R scale_row(const Problems<T>& p, const T* scores, R wanted, R power, R* potential,
                       R* out) {
  R shift = *potential * static_cast<R>(kLog2e);
  R sum = exponentials(p, scores, shift, out);
  if (!usable(sum)) {
    R top = lowest<R>();
    for (int64_t c = threadIdx.x; c < p.l; c += blockDim.x) {
      const R t = p.term(scores, c);
      top = t > top ? t : top;
    }
    shift = -block_reduce(top, [](R a, R b) { return a > b ? a : b; });
    sum = exponentials(p, scores, shift, out);
  }
  const R scaled =
      with_fractions(power * (wanted * static_cast<R>(kLog2e) - (log_of_two(sum) - shift)), wanted);
  __syncthreads();  // every thread has read the old potential
  if (threadIdx.x == 0) *potential = scaled * static_cast<R>(kLn2);
  return power_of_two(scaled - shift);
}

// The terms of a row and the sums of the columns lie in shared memory where they fit. A thread sees
// its own columns only.
template <class T, class R>
__global__ void sweep_kernel(Problems<T> p, const R* wanted, R power, R* row, R* plan,
                             bool shared) {
  if (p.done() > 0) return;
  const int64_t part = blockIdx.y;
  R* terms = shared ? dynamic_shared<R>() : p.room(part);
  R* sums = shared ? terms + p.l : p.sums(part);
  for (int64_t c = threadIdx.x; c < p.l; c += blockDim.x) sums[c] = 0;
  const int64_t first = part * p.part_rows,
                last = first + p.part_rows < p.b ? first + p.part_rows : p.b;
  for (int64_t i = first; i < last; ++i) {
    const int64_t at = blockIdx.x * p.b + i;
    const R factor = scale_row(p, p.row(i), wanted[at], power, row + at, terms);
    for (int64_t c = threadIdx.x; c < p.l; c += blockDim.x) {
      sums[c] += terms[c] * factor;
      if (plan && c < p.k) plan[at * p.k + c] = terms[c] * factor;
    }
  }
  if (shared)
    for (int64_t c = threadIdx.x; c < p.l; c += blockDim.x) p.sums(part)[c] = sums[c];
  if (part == 0 && threadIdx.x == 0) p.lost() = 0;
}

template <class T, class R>
__global__ void merge_kernel(Problems<T> p, R* log_sums) {
  if (p.done() > 0) return;
  const int64_t c = int64_t{blockIdx.y} * blockDim.x + threadIdx.x;
  if (c >= p.l) return;
  R sum = 0;
  for (int64_t part = 0; part < p.parts; ++part) sum += p.sums(part)[c];
  const bool present = !(p.column()[c] <= R(kNothing / 2));  // NaN is: it must stay
  log_sums[blockIdx.x * p.l + c] = present ? log_of_two(sum) - p.column()[c] : R(0);
  if (present && !usable(sum)) p.lost() = 1;
}

struct Step {
  double tolerance;
  int64_t count;
  bool first, last, rows_last;
};

template <class T, class R>
__global__ void step_kernel(Problems<T> p, const R* columns, R power, R* log_sums, Step step,
                            R* error, int64_t* iterations) {
  if (p.done() > 0) return;
  R missed = 0, total = 0;
  for (int64_t c = threadIdx.x; c < p.l; c += blockDim.x) {
    const int64_t at = blockIdx.x * p.l + c;
    const R wanted = columns[at] * static_cast<R>(kLog2e);
    const R scaled = with_fractions((c < p.k ? power : R(1)) * (wanted - log_sums[at]), wanted);
    const R mass = power_of_two(wanted), ratio = power_of_two(p.column()[c] - scaled) - 1;
    missed += mass > 0 ? mass * (ratio < 0 ? -ratio : ratio) : R(0);
    total += mass;
    log_sums[at] = scaled;
  }
  missed = block_sum(missed) / block_sum(total);
  const bool met = step.tolerance > 0 && missed <= static_cast<R>(step.tolerance);
  const bool stop = !step.first && (step.last || met);
  if (!stop || !step.rows_last)
    for (int64_t c = threadIdx.x; c < p.l; c += blockDim.x)
      p.column()[c] = log_sums[blockIdx.x * p.l + c];
  if (threadIdx.x || step.first) return;
  if (error) error[blockIdx.x] = missed;
  iterations[blockIdx.x] = step.count;
  p.done() = stop;
}

template <class T, class R>
__global__ void plan_kernel(Problems<T> p, const R* row, R* plan) {
  const int64_t first = blockIdx.y * p.part_rows,
                last = first + p.part_rows < p.b ? first + p.part_rows : p.b;
  for (int64_t i = first; i < last; ++i) {
    const int64_t at = blockIdx.x * p.b + i;
    for (int64_t c = threadIdx.x; c < p.k; c += blockDim.x)
      plan[at * p.k + c] = power_of_two(p.term(p.row(i), c) + row[at] * static_cast<R>(kLog2e));
  }
}

// A warp a row.
template <class T>
__global__ void labels_kernel(Problems<T> p, int64_t* labels) {
  using R = Computed<T>;
  const int64_t first = blockIdx.y * p.part_rows,
                last = first + p.part_rows < p.b ? first + p.part_rows : p.b;
  for (int64_t i = first + threadIdx.x / kWarp; i < last; i += blockDim.x / kWarp) {
    R top = lowest<R>();
    int64_t label = p.k;
    for (int64_t c = lane_id(); c < p.k; c += kWarp) {
      const R t = p.term(p.row(i), c);
      if (t > top) label = c;
      top = t > top ? t : top;
    }
    const R best = warp_max(top);
    label =
        warp_reduce(top == best ? label : p.k, [](int64_t a, int64_t b) { return a < b ? a : b; });
    if (lane_id() == 0) labels[blockIdx.x * p.b + i] = label < p.k ? label : -1;  // NaN
  }
}

}  // namespace
}  // namespace pymim::cuda
