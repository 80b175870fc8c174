// Ranking on the CPU. The relative loss: threads over blocks of columns, so that an answer never
// depends on their number. Ranks: threads over images, each a radix sort.
#include "../rank.hpp"

#include "pairs.hpp"
#include "parallel.hpp"

namespace pymim::cpu::PYMIM_ISA {
namespace {

// Nanoseconds: to factor one score, to add a row to the pairs of a block, to sort one score by a
// byte.
constexpr double kFactor = 2, kRow = 4, kSort = 2;

template <class T>
struct Item {
  decltype(sort_key(T{})) key;
  uint32_t id;
};

// Sorts by key, a byte at a time from the lowest; equal keys keep their order. Returns whichever of
// the two arrays holds the answer.
template <class T>
const Item<T>* radix_sort(Item<T>* from, Item<T>* to, int64_t m) {
  constexpr int kPasses = sizeof(T);
  uint32_t starts[kPasses][256] = {};
  for (int64_t i = 0; i < m; ++i)
    for (int pass = 0; pass < kPasses; ++pass) ++starts[pass][from[i].key >> (8 * pass) & 255];
  for (int pass = 0; pass < kPasses; ++pass) {
    uint32_t next = 0;
    for (uint32_t& start : starts[pass]) {
      const uint32_t size = start;
      start = next;
      next += size;
    }
    for (int64_t i = 0; i < m; ++i) to[starts[pass][from[i].key >> (8 * pass) & 255]++] = from[i];
    Item<T>* swapped = from;
    from = to;
    to = swapped;
  }
  return from;
}

}  // namespace

template <class T>
void relative_loss(View<const T, 2> scores, View<const T, 2> losses, View<const T, 2> weights,
                   double epsilon, View<T, 2> scratch, PairSums<T> out, Stream) {
  const int64_t m = scores[1], blocks = (m + Packed<T>::kLanes - 1) / Packed<T>::kLanes;
  if (m == 0) return;
  const auto image = [&](int64_t b) {
    return Image<T>(scores, losses, weights, scratch, epsilon, b);
  };
  parallel_for(scores[0], kFactor * static_cast<double>(m), [&](int64_t begin, int64_t end, int) {
    for (int64_t b = begin; b < end; ++b) factor(image(b));
  });
  parallel_for(scores[0] * blocks, kRow * static_cast<double>(m),
               [&](int64_t begin, int64_t end, int) {
                 for (int64_t task = begin; task < end; ++task) {
                   const Image<T> rows = image(task / blocks);
                   ColumnBlock<T> block(rows, task % blocks * Packed<T>::kLanes);
                   block.add_all(rows);
                   block.write(out, task / blocks * m);
                 }
               });
}

template <class T>
void rank(View<const T, 2> scores, bool descending, View<int64_t, 2> scratch, Order out, Stream) {
  const int64_t m = scores[1], k = out.ids[1];
  const double one = kSort * static_cast<double>(sizeof(T)) * static_cast<double>(m);
  parallel_for(scores[0], one, [&](int64_t begin, int64_t end, int) {
    for (int64_t b = begin; b < end; ++b) {
      auto* items = reinterpret_cast<Item<T>*>(scratch.data + b * scratch[1]);
      for (int64_t i = 0; i < m; ++i) {
        const auto key = sort_key(scores.data[b * m + i]);
        items[i] = {descending ? ~key : key, static_cast<uint32_t>(i)};
      }
      const Item<T>* sorted = radix_sort(items, items + m, m);
      if (out.ids.present())
        for (int64_t place = 0; place < k; ++place) out.ids.data[b * k + place] = sorted[place].id;
      if (out.ranks.present())
        for (int64_t place = 0; place < m; ++place)
          out.ranks.data[b * m + sorted[place].id] = place;
    }
  });
}

PYMIM_RANK_FOR_ALL

}  // namespace pymim::cpu::PYMIM_ISA
