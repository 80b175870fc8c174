// Mask sampling: which patches of each image are hidden. A mask is a pure function of its Draw, of the dataset
// index of its image and of the scores given with it, whatever the batch, the device or the number of threads.
//
// B images, N patches in the grid (frames, rows, columns; row-major), V visible, M = N - V hidden.
// Scratch: none. Equal keys go to the lower id first.
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

using Extent = std::array<int64_t, 3>;  // frames, rows, columns

// Which part of an image's stream of random words a policy reads, so that no two share any: role r begins at
// block r * 2^26, and N is below 2^28.
enum class Role : uint32_t {
  uniform,
  filtered,
  weighted,
  ranked,
  priority,
  disjoint,
  budget,
  shares,
  subset,
  rectangles
};

PYMIM_HOST_DEVICE constexpr uint32_t first_block(Role role) { return static_cast<uint32_t>(role) << 26; }

// One number a patch [B N], stored in any of three formats and compared in float.
struct Scores {
  enum Type : uint8_t { f32, bf16, f16 };

  const void* data = nullptr;
  std::array<int64_t, 2> shape{};
  Device device{};
  Type type = f32;

  Scores(const View<const float, 2>& view) : Scores(view, f32) {}
  Scores(const View<const bfloat16, 2>& view) : Scores(view, bf16) {}
  Scores(const View<const float16, 2>& view) : Scores(view, f16) {}
  bool present() const { return data != nullptr; }

 private:
  template <class T>
  Scores(const View<const T, 2>& view, Type type)
      : data(view.data), shape(view.shape), device(view.device), type(type) {}
};

// Uniform without replacement over units of `unit` patches (MAE, He et al. 2022; {1, 1, 1} for single patches).
// index [in] [B]: the dataset index of each image, below 2^40. `unit` divides `grid`, and V is whole units.
void uniform_mask(View<const int64_t, 1> index, Draw draw, Extent grid, Extent unit, Mask out,
                  Stream stream = {});

}  // namespace pymim
