// Mask sampling: which patches of each image are hidden. A mask is a pure function of its Draw, of
// the dataset index of its image and of the scores given with it, whatever the batch, the device or
// the number of threads.
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

// Which part of an image's stream of random words a policy reads, so that no two share any: role r
// begins at block r * 2^26, and N is below 2^28.
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

PYMIM_HOST_DEVICE constexpr uint32_t first_block(Role role) {
  return static_cast<uint32_t>(role) << 26;
}

// One number a patch [B N], stored in any of three formats and compared in float.
struct PatchScores {
  enum Type : uint8_t { f32, bf16, f16 };

  const void* data = nullptr;
  std::array<int64_t, 2> shape{};
  Device device{};
  Type type = f32;

  PatchScores(const View<const float, 2>& view) : PatchScores(view, f32) {}
  PatchScores(const View<const bfloat16, 2>& view) : PatchScores(view, bf16) {}
  PatchScores(const View<const float16, 2>& view) : PatchScores(view, f16) {}
  bool present() const { return data != nullptr; }

 private:
  template <class T>
  PatchScores(const View<const T, 2>& view, Type type)
      : data(view.data), shape(view.shape), device(view.device), type(type) {}
};

// Several masks of each image, made together: W views.
struct Masks {
  View<int64_t, 3> visible;  // [out] [W B V]
  View<int64_t, 3> hidden;   // [out] [W B M]
  View<bool, 3> boolean;     // [out] [W B N]
};

enum class Drawn : bool { visible, hidden };  // which side of the mask the weights draw
enum class Hide : bool { highest, lowest };   // which scores are hidden for certain

// Several grids that share one count of visible patches.
struct Budget {
  static constexpr size_t kMost = 16;

  int grids = 0;                       // G, at most kMost
  std::array<int64_t, kMost> sizes{};  // patches of each; their sum is N
  std::array<float, kMost> alpha{};    // of the Dirichlet law of their shares, 1e-3 to 1e6
};

// In all of these: index [in] [B], the dataset index of each image, below 2^40. Scores must be
// finite; on a GPU that is not checked: there NaN ranks beyond the infinity of its sign, and as a
// weight counts as 0.

// Uniform without replacement over units of `unit` patches (MAE, He et al. 2022; {1, 1, 1} for
// single patches). `unit` divides `grid`, and V is whole units.
void uniform_mask(View<const int64_t, 1> index, Draw draw, Extent grid, Extent unit, Mask out,
                  Stream stream = {});

// Shows the V largest values of a random crop, flipped at random, of a random pattern (ColorMAE,
// Hinojosa et al. 2024). bank [in] [P H W], finite; the crop is of rows x columns = N.
void filtered_mask(View<const int64_t, 1> index, Draw draw, View<const float, 3> bank, int64_t rows,
                   int64_t columns, Mask out, Stream stream = {});

// Draws one side of the mask a patch at a time with probability proportional to its weight among
// those left, as the smallest of Exp(1) / weight (Efraimidis & Spirakis 2006). Weights are clamped
// to [2^-100, 2^100], so those of 0 are drawn last, uniformly.
void weighted_mask(View<const int64_t, 1> index, Draw draw, PatchScores weights, Drawn drawn,
                   Mask out, Stream stream = {});

// Hides the `hard` highest (or lowest) scores, and M - hard others uniformly (HPM, Wang et al.
// 2023).
void ranked_mask(View<const int64_t, 1> index, Draw draw, PatchScores scores, int64_t hard,
                 Hide hide, Mask out, Stream stream = {});

// Hides the M largest of priority + U[0, 1) (HAP, Yuan et al. 2023).
void priority_mask(View<const int64_t, 1> index, Draw draw, PatchScores priority, Mask out,
                   Stream stream = {});

// W masks of each image that together hide `covered` patches, max(M, 1) <= covered <= min(N, W M):
// the views hide arcs, evenly spaced, of a ring of `covered` random patches (DMJD, Ma et al. 2022,
// where W = 2).
void disjoint_masks(View<const int64_t, 1> index, Draw draw, int64_t covered, Masks out,
                    Stream stream = {});

// Shares V among grids by a Dirichlet law, for each image, rounded by largest remainder to exactly
// V, and no more than a grid has; uniform in each grid (MultiMAE, Bachmann et al. 2022). The ids
// number the grids in one row.
void budget_mask(View<const int64_t, 1> index, Draw draw, const Budget& budget, Mask out,
                 Stream stream = {});

// A uniform subset of each row of ids [in] [B M], in their order: out [out] [B K], K <= M.
void subset_ids(View<const int64_t, 1> index, Draw draw, View<const int64_t, 2> ids,
                View<int64_t, 2> out, Stream stream = {});

// A mask of a coarse grid [in] [B U] on a fine one, each cell `unit` patches. Every row hides M of
// N.
void expand_mask(View<const bool, 2> coarse, Extent grid, Extent unit, Mask out,
                 Stream stream = {});

}  // namespace pymim
