// The nearest centroid of each row of a block, exactly, at the speed of an approximate product.
//
// Scores t_k = x.c_k - |c_k|^2 / 2 (x.c_k of unit rows under cosine) order the centroids as their
// distances do, but carry an error: of rounding to bfloat16, |x.c - x'.c'| <= |x - x'| |c| + |x'|
// |c - c'|, and of summing, which also covers the rounding of the distance itself. A centroid can
// only be the answer if its score is within both errors of the best, and for those few, often one,
// the distance is computed by its formula. So the answer does not depend on which product did the
// scoring. Points are first centred on the mean of the centroids: far from the origin the errors,
// which grow with |x| |c|, would leave everything open.
//
// It makes k-means 1.9 times as fast as faiss, at exact answers: an epoch of DeepCluster is made of
// it.
#pragma once

#include <limits>
#include <type_traits>

#include "../arena.hpp"
#include "element.hpp"
#include "panels.hpp"
#include "parallel.hpp"
#include "pymim/kmeans.hpp"

namespace pymim::cpu::PYMIM_ISA {
namespace {

constexpr int64_t kRows = 4 * kTile;  // a block: its scores stay in the second-level cache
constexpr int64_t kColumns = 1024;    // centroids scored at a time
constexpr int64_t kDirect = 4;        // with no more centroids than this every distance is computed
// Nanoseconds: to add an element to a sum, to pack one, to multiply and add one for a score.
constexpr double kAdd = 0.5, kPack = 2, kScore = 0.015;
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kOutward = 1.001f;  // norms are rounded up by more than their own error

float squared_norm(const float* x, int64_t d) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < d; ++i) sum += x[i] * x[i];
  return sum;
}

// Sums term(x_i, c_i), as lanes: a simd reduction would add up its lanes one after the other, which
// for rows of a few vectors takes longer than the row.
template <class Term>
float sum_terms(const float* x, const float* c, int64_t d, Term term) {
  Lanes sums[2] = {};
  int64_t at = 0;
  for (; at + 2 * kLanes <= d; at += 2 * kLanes) {
    sums[0] += term(load(x + at), load(c + at));
    sums[1] += term(load(x + at + kLanes), load(c + at + kLanes));
  }
  float rest = 0;
  for (; at < d; ++at) rest += term(x[at], c[at]);
  return rest + total(sums[0] + sums[1]);
}

float squared_distance(const float* x, const float* c, int64_t d) {
  return sum_terms(x, c, d, [](auto a, auto b) { return (a - b) * (a - b); });
}

float dot(const float* x, const float* c, int64_t d) {
  return sum_terms(x, c, d, [](auto a, auto b) { return a * b; });
}

// x / |x|, or zero.
void to_unit(float* x, int64_t d) {
  const float norm = std::sqrt(squared_norm(x, d));
  const float scale = norm > 0 && norm < kInfinity ? 1 / norm : 0 * norm;  // NaN where not finite
  for (int64_t i = 0; i < d; ++i) x[i] *= scale;
}

// The centroids, ready to be scored.
struct Centroids {
  int64_t k, d, pairs_of_d, panels;
  Metric metric;
  const float* exact;  // [K D] what distances are computed from: unit rows under cosine
  float* unit;         // [K D]
  float* mean;         // [D] zero under cosine
  float* start;        // [panels kWidth] -|c|^2 / 2, or zero under cosine; -infinity where padded
  float* norms;        // [panels] the largest of each panel
  float* residuals;    // [panels] the same, of what rounding to bfloat16 lost
  float* floats;       // [panels D kWidth]
  uint32_t* pairs;     // [panels pairs_of_d kWidth]

  Centroids(Arena& arena, int64_t k, int64_t d, Metric metric) : k(k), d(d), metric(metric) {
    pairs_of_d = (d + 1) / 2;
    panels = (k + kWidth - 1) / kWidth;
    unit = arena.take<float>(k * d);
    mean = arena.take<float>(d);
    start = arena.take<float>(panels * kWidth);
    norms = arena.take<float>(panels);
    residuals = arena.take<float>(panels);
    floats = arena.take<float>(panels * d * kWidth);
    pairs = arena.take<uint32_t>(kHasPairs ? panels * pairs_of_d * kWidth : 0);
    exact = unit;
  }

  float distance(const float* x, int64_t centroid) const {
    const float* c = exact + centroid * d;
    if (metric == Metric::l2) return squared_distance(x, c, d);
    const float cosine = 1 - dot(x, c, d);
    return cosine < 0 ? 0 : cosine;  // rounding must not make it negative; NaN stays
  }
};

void find_mean(const float* centroids, const Centroids& to) {
  parallel_for((to.d + 15) / 16, kAdd * static_cast<double>(16 * to.k),
               [&](int64_t begin, int64_t end, int) {
                 const int64_t first = begin * 16, last = end * 16 < to.d ? end * 16 : to.d;
                 for (int64_t i = first; i < last; ++i) to.mean[i] = 0;
                 if (to.metric == Metric::cosine) return;
                 const float weight = 1 / static_cast<float>(to.k);
                 for (int64_t k = 0; k < to.k; ++k)
                   for (int64_t i = first; i < last; ++i)
                     to.mean[i] += weight * centroids[k * to.d + i];
               });
}

// Writes one centroid, centred or of unit length, into its column of a panel. `row` is scratch [D],
// `rounded` too.
void pack_column(const float* centroid, int64_t k, const Centroids& to) {
  const int64_t panel = k / kWidth, column = k % kWidth, d = to.d;
  float* floats = to.floats + panel * d * kWidth + column;
  auto* pairs =
      kHasPairs ? reinterpret_cast<uint16_t*>(to.pairs + panel * to.pairs_of_d * kWidth + column)
                : nullptr;
  double square = 0, lost = 0;
  for (int64_t i = 0; i < d; ++i) {
    const float value = centroid[i] - to.mean[i];
    const uint32_t rounded = round_to_bfloat16(value);
    const float residual = value - from_bits(static_cast<int32_t>(rounded));
    floats[i * kWidth] = value;
    if (kHasPairs) pairs[i / 2 * kWidth * 2 + i % 2] = static_cast<uint16_t>(rounded >> 16);
    square += double{value} * value;
    lost += double{residual} * residual;
  }
  if (kHasPairs && d % 2) pairs[d / 2 * kWidth * 2 + 1] = 0;
  to.start[k] = to.metric == Metric::l2 ? static_cast<float>(-0.5 * square) : 0;
  const float norm = square <= std::numeric_limits<float>::max()
                         ? kOutward * std::sqrt(static_cast<float>(square))
                         : kInfinity;
  const float residual = kOutward * std::sqrt(static_cast<float>(lost));
  if (norm > to.norms[panel]) to.norms[panel] = norm;
  if (residual > to.residuals[panel]) to.residuals[panel] = residual;
}

void pack_panel(const float* centroids, int64_t panel, const Centroids& to) {
  to.norms[panel] = to.residuals[panel] = 0;
  for (int64_t k = panel * kWidth; k < (panel + 1) * kWidth; ++k) {
    if (k < to.k) {
      float* unit = to.unit + k * to.d;
      if (to.metric == Metric::cosine) {
        std::memcpy(unit, centroids + k * to.d, static_cast<size_t>(to.d) * sizeof(float));
        to_unit(unit, to.d);
      }
      pack_column(to.exact + k * to.d, k, to);
    } else {
      to.start[k] = -kInfinity;
      for (int64_t i = 0; i < to.d; ++i) to.floats[(panel * to.d + i) * kWidth + k % kWidth] = 0;
      for (int64_t i = 0; kHasPairs && i < to.pairs_of_d; ++i)
        to.pairs[(panel * to.pairs_of_d + i) * kWidth + k % kWidth] = 0;
    }
  }
}

// Fills `to`; false where a centroid is not finite.
bool pack(const float* centroids, Centroids& to) {
  if (to.metric == Metric::l2) to.exact = centroids;
  find_mean(centroids, to);
  parallel_for(to.panels, kPack * static_cast<double>(kWidth * to.d),
               [&](int64_t begin, int64_t end, int) {
                 for (int64_t panel = begin; panel < end; ++panel) pack_panel(centroids, panel, to);
               });
  for (int64_t panel = 0; panel < to.panels; ++panel)
    if (!(to.norms[panel] < kInfinity)) return false;
  return true;
}

// What a worker needs for one block of rows.
struct RowBlock {
  float* exact;     // [kRows D] what distances are computed from
  float* centred;   // [kRows D] what is scored
  uint32_t* pairs;  // [kRows pairs_of_d] the same, rounded
  float* scores;    // [kRows kColumns]

  RowBlock(Arena& arena, int64_t d)
      : exact(arena.take<float>(kRows * d)),
        centred(arena.take<float>(kRows * d)),
        pairs(arena.take<uint32_t>(kRows * ((d + 1) / 2))),
        scores(arena.take<float>(kRows * kColumns)) {}
};

// One row, and what is known so far of its nearest centroid.
struct Query {
  const float* exact;        // what distances are computed from
  float norm, residual;      // of the centred row, and of what rounding lost
  float least = -kInfinity;  // the best score is at least this
  float distance = kInfinity;
  int64_t label = -1;

  void keep_nearer(float other, int64_t centroid) {
    if (other < distance) distance = other, label = centroid;
  }
};

// The row as distances take it: read in place where it is float already.
template <class T>
const float* exact_row(const T* point, const Centroids& to, float* copy) {
  if constexpr (std::is_same_v<T, float>)
    if (to.metric == Metric::l2) return point;
  for (int64_t at = 0; at < to.d; ++at) copy[at] = to_float(point[at]);
  if (to.metric == Metric::cosine) to_unit(copy, to.d);
  return copy;
}

// Writes row `i` of the block, centred, in float and rounded to bfloat16.
template <class T>
Query prepare(const T* point, const Centroids& to, const RowBlock& block, int64_t i) {
  Query row;
  row.exact = exact_row(point, to, block.exact + i * to.d);
  const float *exact = row.exact, *mean = to.mean;
  float* centred = block.centred + i * to.d;
  auto* rounded = reinterpret_cast<uint16_t*>(block.pairs + i * to.pairs_of_d);
  float square = 0, lost = 0;
#pragma omp simd reduction(+ : square, lost)
  for (int64_t at = 0; at < to.d; ++at) {
    const float value = exact[at] - mean[at];
    const uint32_t nearest = round_to_bfloat16(value);
    const float residual = value - from_bits(static_cast<int32_t>(nearest));
    centred[at] = value;
    rounded[at] = static_cast<uint16_t>(nearest >> 16);
    square += value * value;
    lost += residual * residual;
  }
  if (to.d % 2) rounded[to.d] = 0;
  row.norm = kOutward * std::sqrt(square);
  row.residual = kOutward * std::sqrt(lost);
  return row;
}

void score(const Centroids& to, const RowBlock& block, int64_t rows, int64_t first, int64_t last,
           bool rounded) {
  for (int64_t panel = first; panel < last; ++panel)
    for (int64_t i = 0; i < rows; i += kTile) {
      float* out = block.scores + i * kColumns + (panel - first) * kWidth;
      const float* start = to.start + panel * kWidth;
      if (rounded)
        pair_tile(block.pairs + i * to.pairs_of_d, to.pairs_of_d,
                  to.pairs + panel * to.pairs_of_d * kWidth, start, out, kColumns);
      else
        float_tile(block.centred + i * to.d, to.d, to.floats + panel * to.d * kWidth, start, out,
                   kColumns);
    }
}

// How far the scores of this row in each of these panels can be from the truth.
void score_errors(const Query& row, const Centroids& to, int64_t first, int64_t last, bool rounded,
                  float* errors) {
  const float summing = 2 * static_cast<float>(to.d + 8) * 0x1p-24f,
              tiny = 4 * static_cast<float>(to.d + 8) * 0x1p-126f;
  const float lost = rounded ? row.residual : 0, kept = rounded ? row.norm + row.residual : 0;
#pragma omp simd
  for (int64_t panel = first; panel < last; ++panel) {
    const float norm = to.norms[panel], reach = row.norm + norm;
    errors[panel - first] =
        kOutward * (lost * norm + kept * to.residuals[panel] + summing * reach * reach + tiny);
  }
}

// Computes the distance of each centroid of these panels that can be the nearest; returns how many
// it took. Why so: two runs over the panels, because the first raises the bound `least` for all of
// them before the second asks which centroids reach it. Bound and test act on whole registers, and
// often one centroid of a thousand is left; so the exact answer costs little more than the scores,
// and k-means is 1.9 times as fast as faiss (docs/speed.md).
int64_t rescore_candidates(Query& row, const float* scores, const Centroids& to, int64_t first,
                           int64_t last, bool rounded) {
  float errors[kColumns / kWidth];
  Lanes highest[kColumns / kWidth], least = spread(row.least);
  score_errors(row, to, first, last, rounded, errors);
  for (int64_t panel = 0; panel < last - first; ++panel) {
    Lanes most = load(scores + panel * kWidth);
    for (int j = 1; j < kVectors; ++j)
      most = larger(load(scores + panel * kWidth + j * kLanes), most);
    highest[panel] = most;
    least = larger(most - errors[panel], least);
  }
  row.least = largest(least);
  int64_t taken = 0;
  for (int64_t panel = 0; panel < last - first; ++panel) {
    const float bound = row.least - errors[panel];
    if (!at_least(highest[panel], bound)) continue;
    for (int64_t j = 0; j < kWidth; j += kLanes)
      for (unsigned open = at_least(load(scores + panel * kWidth + j), bound); open;
           open &= open - 1) {
        const int64_t centroid = (first + panel) * kWidth + j + __builtin_ctz(open);
        if (centroid >= to.k) break;
        row.keep_nearer(to.distance(row.exact, centroid), centroid);
        ++taken;
      }
  }
  return taken;
}

// One block of rows; returns how many distances it took beyond the scores.
int64_t nearest(Query* rows, int64_t count, const Centroids& to, const RowBlock& block,
                bool rounded) {
  int64_t taken = 0;
  if (to.k <= kDirect) {
    for (int64_t i = 0; i < count; ++i)
      for (int64_t k = 0; k < to.k; ++k) rows[i].keep_nearer(to.distance(rows[i].exact, k), k);
    return taken;
  }
  const int64_t step = kColumns / kWidth;
  for (int64_t first = 0; first < to.panels; first += step) {
    const int64_t last = first + step < to.panels ? first + step : to.panels;
    score(to, block, count, first, last, rounded);
    for (int64_t i = 0; i < count; ++i)
      taken += rescore_candidates(rows[i], block.scores + i * kColumns, to, first, last, rounded);
  }
  return taken;
}

}  // namespace
}  // namespace pymim::cpu::PYMIM_ISA
