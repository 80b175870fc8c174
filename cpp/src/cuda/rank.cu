// Ranking on a GPU: a thread a patch, the other patches of its image passing through shared memory
// in tiles. One launch each, and no atomics: every sum is one thread's, in the order of the
// patches.
#include "../rank.hpp"

#include "launch.cuh"

namespace pymim::cuda {
namespace {

constexpr int kTile = 128;

// The image and patch of this thread; a thread past the last patch only helps to load.
struct Place {
  int64_t image, patch;

  __device__ explicit Place(int64_t m) {
    const int64_t tiles = (m + kTile - 1) / kTile;
    image = int64_t{blockIdx.x} / tiles;
    patch = int64_t{blockIdx.x} % tiles * kTile + threadIdx.x;
  }
};

template <class T>
dim3 tiles(const View<const T, 2>& view) {
  return dim3(static_cast<unsigned>(view[0] * divide_up(view[1], kTile)));
}

// The sums of one patch.
template <class T>
struct Sums {
  T cost = 0, gradient = 0;
  int64_t pairs = 0;

  // x = lower score - higher score; `side` is 1 where this patch's score is the lower one, else -1.
  __device__ void add(T x, T side, T weight, T epsilon) {
    const T odds = exp(x < 0 ? x : -x), rate = 1 / (1 + odds);
    const T wrong = x < 0 ? odds * rate : rate, right = x < 0 ? rate : odds * rate;
    cost += epsilon > 0 ? -log(right + epsilon) : (x > 0 ? x : T{0}) + log1p(odds);
    gradient += side * weight * (epsilon > 0 ? wrong * right / (right + epsilon) : wrong);
    ++pairs;
  }
  __device__ void add(const Sums& other) {
    cost += other.cost;
    gradient += other.gradient;
    pairs += other.pairs;
  }
};

template <class T>
__global__ void relative_loss_kernel(View<const T, 2> scores, View<const T, 2> losses,
                                     View<const T, 2> weights, T epsilon, PairSums<T> out) {
  T* tile = dynamic_shared<T>();
  T *tile_scores = tile, *tile_losses = tile + kTile, *tile_weights = tile + 2 * kTile;
  const int64_t m = scores.shape[1];
  const Place place(m);
  const int64_t row = place.image * m, own = row + (place.patch < m ? place.patch : m - 1);
  const T score = scores.data[own], loss = losses.data[own],
          weight = weights.data ? weights.data[own] : T{1};
  Sums<T> sums;
  // NaN where either is not finite: without a pair it would not show.
  sums.cost = 0 * (score + loss);
  for (int64_t first = 0; first < m; first += kTile) {
    const int count = static_cast<int>(m - first < kTile ? m - first : kTile),
              lane = static_cast<int>(threadIdx.x);
    if (lane < count) {
      tile_scores[lane] = scores.data[row + first + lane];
      tile_losses[lane] = losses.data[row + first + lane];
      tile_weights[lane] = weights.data ? weights.data[row + first + lane] : T{1};
    }
    __syncthreads();
    Sums<T> part;  // summed apart: what is lost to rounding grows with the tile, not with the image
    for (int i = 0; i < count; ++i) {
      if (tile_losses[i] == loss) continue;
      const T side = loss < tile_losses[i] ? T{1} : T{-1};
      part.add(side * (score - tile_scores[i]), side, weight + tile_weights[i], epsilon);
    }
    sums.add(part);
    __syncthreads();
  }
  if (place.patch >= m) return;
  if (out.sums.data) out.sums.data[own] = sums.cost;
  if (out.pairs.data) out.pairs.data[own] = sums.pairs;
  if (out.gradient.data) out.gradient.data[own] = sums.gradient;
}

// A patch's place is the number of those before it. Keys are a total order, so places are a
// permutation whatever the scores are.
template <class T>
__global__ void rank_kernel(View<const T, 2> scores, bool descending, Order out) {
  using Key = decltype(sort_key(T{}));
  Key* tile = dynamic_shared<Key>();
  const int64_t m = scores.shape[1];
  const Place place(m);
  const int64_t row = place.image * m;
  const auto key_of = [&](int64_t patch) {
    const Key key = sort_key(scores.data[row + patch]);
    return descending ? ~key : key;
  };
  const Key own = key_of(place.patch < m ? place.patch : m - 1);
  int64_t before = 0;
  for (int64_t first = 0; first < m; first += kTile) {
    const int count = static_cast<int>(m - first < kTile ? m - first : kTile),
              lane = static_cast<int>(threadIdx.x);
    if (lane < count) tile[lane] = key_of(first + lane);
    __syncthreads();
    for (int i = 0; i < count; ++i)
      before += tile[i] < own || (tile[i] == own && first + i < place.patch);
    __syncthreads();
  }
  if (place.patch >= m) return;
  if (out.ranks.data) out.ranks.data[row + place.patch] = before;
  if (out.ids.data && before < out.ids.shape[1])
    out.ids.data[place.image * out.ids.shape[1] + before] = place.patch;
}

}  // namespace

template <class T>
void relative_loss(View<const T, 2> scores, View<const T, 2> losses, View<const T, 2> weights,
                   double epsilon, View<T, 2>, PairSums<T> out, Stream stream) {
  launch(relative_loss_kernel<T>, tiles(scores), dim3(kTile), 3 * kTile * sizeof(T), stream, scores,
         losses, weights, static_cast<T>(epsilon), out);
}

template <class T>
void rank(View<const T, 2> scores, bool descending, View<int64_t, 2>, Order out, Stream stream) {
  launch(rank_kernel<T>, tiles(scores), dim3(kTile), kTile * sizeof(T), stream, scores, descending,
         out);
}

PYMIM_RANK_FOR_ALL

}  // namespace pymim::cuda
