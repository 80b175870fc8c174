// Patch-loss ranking: the pairwise relative loss of a loss predictor, ranks and the ids in their
// order.
//
// B images, M patches of each, K of them asked for.
#pragma once

#include "pymim/view.hpp"

namespace pymim {

// What the pairs of each patch add up to. Any of the three may be absent.
template <class T>
struct PairSums {
  View<T, 2> sums;         // [out] [B M]: the losses of a patch's pairs
  View<int64_t, 2> pairs;  // [out] [B M]: how many pairs it has, itself and equal losses apart
  View<T, 2> gradient;     // [out] [B M]: of the sum of weights * sums, by the scores
};

inline int64_t relative_loss_scratch(int64_t m) { return 2 * m + 1; }

// The relative loss of Hard Patches Mining (Wang et al. 2023). Of two patches of an image with
// unequal losses the one with the lower loss should have the lower score; with x = s_lower -
// s_higher such a pair costs softplus(x) = -log sigmoid(-x), or -log(sigmoid(-x) + epsilon) where
// epsilon is given, and counts in both patches. scores, losses [in] [B M], T = float or double:
// finite; on a GPU a patch that is not makes its own sum NaN. weights [in] [B M]: optional, else
// all one. epsilon: 0, or 1e-12 to below 1. scratch [scratch] [B relative_loss_scratch(M)]. Time
// O(B M^2), and no memory beyond these arguments.
template <class T>
void relative_loss(View<const T, 2> scores, View<const T, 2> losses, View<const T, 2> weights,
                   double epsilon, View<T, 2> scratch, PairSums<T> out, Stream stream = {});

// Either may be absent.
struct Order {
  View<int64_t, 2> ids;    // [out] [B K]: the first K patches in order
  View<int64_t, 2> ranks;  // [out] [B M]: the place of each patch, from 0
};

// How many int64 an image's sort needs.
template <class T>
constexpr int64_t rank_scratch(int64_t m) {
  return 2 * m * static_cast<int64_t>(sizeof(T) / sizeof(float));
}

// Sorts each image's scores, ascending or descending; of equal scores the lower id comes first
// either way. scores [in] [B M], T = float or double: finite; on a GPU NaN ranks above all numbers,
// as torch sorts it. scratch [scratch] [B rank_scratch<T>(M)]. Time O(B M).
template <class T>
void rank(View<const T, 2> scores, bool descending, View<int64_t, 2> scratch, Order out,
          Stream stream = {});

}  // namespace pymim
