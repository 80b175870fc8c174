#pragma once

#include <algorithm>

#include "kernels.hpp"
#include "pymim/sinkhorn.hpp"

namespace pymim {

// Column sums are taken in parts of the rows, the same whatever the number of threads, and added in
// order. A GPU wants about a thousand blocks, over all problems.
struct Parts {
  int64_t rows, count;

  Parts(bool on_gpu, int64_t s, int64_t b) {
    const int64_t most = on_gpu ? std::max<int64_t>(1, 1056 / s) : 64;
    rows = std::max<int64_t>(on_gpu ? 8 : 32, (b + most - 1) / most);
    count = (b + rows - 1) / rows;
  }
};

// A slot is the scratch of one problem: its columns' potentials, the sums of each part, the terms
// of the rows it is at, and some flags.
inline constexpr int64_t kRowsAtOnce = 4;
inline constexpr int64_t kFlags = 2;
inline int64_t slot_size(const Parts& parts, int64_t l) {
  return (1 + (1 + kRowsAtOnce) * parts.count) * l + kFlags;
}

// Scores of a product are made tile by tile. A GPU's blocks share out the tiles of rows on the left
// and, where these are too few for it, parts of what is on the right.
struct Split {
  static constexpr int64_t kRows = 128, kColumns = 64, kBlocks = 1056;
  int64_t tiles, parts, length;

  Split(int64_t s, int64_t left, int64_t right) : tiles((left + kRows - 1) / kRows) {
    const int64_t all = (right + kColumns - 1) / kColumns,
                  wanted = std::max<int64_t>(1, kBlocks / (s * tiles));
    length = (all + wanted - 1) / wanted * kColumns;
    parts = (right + length - 1) / length;
  }
};

// A slot of a product: its columns' potentials, two numbers for each part of each row or column,
// and the flags.
inline int64_t product_slot_size(int64_t s, int64_t b, int64_t l) {
  return l + 2 * std::max(Split(s, b, l).parts * b, Split(s, l, b).parts * l) + kFlags;
}

// On the CPU so many problems at most are under way at once. Their rows of scratch begin on cache
// lines, and there is room for the scalings and sums of both sides and for a kernel that fits in
// half of a core's cache.
inline constexpr int64_t kCpuSlots = 64;
inline constexpr int64_t kKernelAtMost = int64_t{1} << 17;
inline int64_t padded(int64_t n) { return (n + 15) / 16 * 16; }
inline int64_t kernel_size(int64_t b, int64_t l) {
  return b * padded(l) <= kKernelAtMost ? b * padded(l) : 0;
}
inline int64_t cpu_slot_size(const Parts& parts, int64_t b, int64_t l) {
  return padded(slot_size(parts, padded(l))) + 3 * padded(l) + 2 * padded(b) + kernel_size(b, l);
}

}  // namespace pymim

PYMIM_EACH_PLACE(
    template <class T>
    void sinkhorn(Scores<T> scores, Marginals<Computed<T>> marginals, Schedule schedule,
                  Solution<Computed<T>> out, View<Computed<T>, 1> scratch, Stream stream);
    template <class T> void sinkhorn_columns(Scores<T> scores, View<const Computed<T>, 2> row,
                                             View<Computed<T>, 2> log_sums,
                                             View<Computed<T>, 1> scratch, Stream stream);
    template <class T>
    void sinkhorn_sweep(Scores<T> scores, Marginals<Computed<T>> marginals,
                        Potentials<Computed<T>> potentials, View<Computed<T>, 2> log_sums,
                        View<Computed<T>, 1> scratch, Stream stream);
    template <class T>
    void sinkhorn_plan(Scores<T> scores, Potentials<const Computed<T>> potentials,
                       View<Computed<T>, 3> plan, View<Computed<T>, 1> scratch, Stream stream);
    template <class T>
    void sinkhorn_labels(Scores<T> scores, View<const Computed<T>, 2> column,
                         View<int64_t, 2> labels, View<Computed<T>, 1> scratch, Stream stream);)

// Every place instantiates the kernels for each type of scores.
#define PYMIM_SINKHORN_FOR(T)                                                                 \
  template void sinkhorn(Scores<T>, Marginals<Computed<T>>, Schedule, Solution<Computed<T>>,  \
                         View<Computed<T>, 1>, Stream);                                       \
  template void sinkhorn_columns(Scores<T>, View<const Computed<T>, 2>, View<Computed<T>, 2>, \
                                 View<Computed<T>, 1>, Stream);                               \
  template void sinkhorn_sweep(Scores<T>, Marginals<Computed<T>>, Potentials<Computed<T>>,    \
                               View<Computed<T>, 2>, View<Computed<T>, 1>, Stream);           \
  template void sinkhorn_plan(Scores<T>, Potentials<const Computed<T>>, View<Computed<T>, 3>, \
                              View<Computed<T>, 1>, Stream);                                  \
  template void sinkhorn_labels(Scores<T>, View<const Computed<T>, 2>, View<int64_t, 2>,      \
                                View<Computed<T>, 1>, Stream);
#define PYMIM_SINKHORN_FOR_ALL \
  PYMIM_SINKHORN_FOR(float)    \
  PYMIM_SINKHORN_FOR(double) PYMIM_SINKHORN_FOR(bfloat16) PYMIM_SINKHORN_FOR(float16)
