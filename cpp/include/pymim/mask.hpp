// Mask sampling: which patches of each image are hidden. A mask is a pure function of its Draw and of the
// dataset index of its image, whatever the batch, the device or the number of threads.
//
// B images, N patches in the grid, V visible, M = N - V hidden.
#pragma once

#include "pymim/random.hpp"
#include "pymim/view.hpp"

namespace pymim {

// What every policy fills. Ids ascend.
struct Mask {
  View<int64_t, 2> visible;  // [out] [B V]
  View<int64_t, 2> hidden;   // [out] [B M]
  View<bool, 2> boolean;     // [out] [B N], true = hidden
};

// Uniform without replacement (MAE, He et al. 2022).
// index [in] [B]: the dataset index of each image. keys [scratch] [B N].
void uniform_mask(View<const int64_t, 1> index, Draw draw, View<uint32_t, 2> keys, Mask out, Stream stream = {});

}  // namespace pymim
