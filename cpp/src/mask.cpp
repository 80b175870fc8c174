// Every argument of the mask policies is checked here, once; then cpu or cuda.
#include "mask.hpp"

#include <algorithm>

#include "dispatch.hpp"
#include "mask_check.hpp"

namespace pymim {
namespace {

using Index = View<const int64_t, 1>;

void check_scores(const char* function, const char* name, const PatchScores& scores,
                  const Mask& out, bool refuse_negative) {
  check_shape(function, name, View<const char, 2>(nullptr, scores.shape), out.boolean.shape,
              "[B N]");
  check_device(function, out.boolean, scores);
  if (scores.device.kind != Device::cpu) return;  // asking a GPU would wait for it
  bool bad = false;
  PYMIM_RUN_CPU(find_bad, scores, refuse_negative, bad);
  check(!bad, function, ": ", name, ": expected finite numbers",
        refuse_negative ? " of 0 or more" : "",
        ", got others; look for NaN or overflow where they are computed");
}

Mask one_view(const Masks& masks, int64_t view) {
  const auto slice = [view](const auto& all) {
    using Element = std::remove_reference_t<decltype(*all.data)>;
    const int64_t size = all[1] * all[2];
    return View<Element, 2>(all.data ? all.data + view * size : nullptr, {all[1], all[2]},
                            all.device);
  };
  return {slice(masks.visible), slice(masks.hidden), slice(masks.boolean)};
}

}  // namespace

void uniform_mask(Index index, Draw draw, Extent grid, Extent unit, Mask out, Stream stream) {
  check_mask("uniform_mask", index, draw, out);
  const int64_t size = check_units("uniform_mask", grid, unit, out.boolean[1]);
  check(out.visible[1] % size == 0, "uniform_mask: visible: expected whole units of ", size,
        " patches, got ", out.visible[1], "; choose a multiple");
  PYMIM_RUN(uniform_mask, index, index, draw, grid, unit, out, stream);
}

void filtered_mask(Index index, Draw draw, View<const float, 3> bank, int64_t rows, int64_t columns,
                   Mask out, Stream stream) {
  check_mask("filtered_mask", index, draw, out);
  check_units("filtered_mask", {1, rows, columns}, {1, 1, 1}, out.boolean[1]);
  check(bank[0] > 0 && bank[1] >= rows && bank[2] >= columns,
        "filtered_mask: bank: expected [P H W] with P >= 1, H >= ", rows, " and W >= ", columns,
        ", got ", shape_text(bank), "; make larger patterns");
  check(std::max({bank[0], bank[1], bank[2]}) < int64_t{1} << 31,
        "filtered_mask: bank: expected sizes below 2^31, got ", shape_text(bank),
        "; make fewer patterns");
  check_device("filtered_mask", index, bank);
  PYMIM_RUN(filtered_mask, index, index, draw, bank, rows, columns, out, stream);
}

void weighted_mask(Index index, Draw draw, PatchScores weights, Drawn drawn, Mask out,
                   Stream stream) {
  check_mask("weighted_mask", index, draw, out);
  check_scores("weighted_mask", "weights", weights, out, true);
  PYMIM_RUN(weighted_mask, index, index, draw, weights, drawn, out, stream);
}

void ranked_mask(Index index, Draw draw, PatchScores scores, int64_t hard, Hide hide, Mask out,
                 Stream stream) {
  check_mask("ranked_mask", index, draw, out);
  check_scores("ranked_mask", "scores", scores, out, false);
  check(hard >= 0 && hard <= out.hidden[1], "ranked_mask: hard: expected 0 to ", out.hidden[1],
        " (hidden), got ", hard, "; ask for fewer");
  PYMIM_RUN(ranked_mask, index, index, draw, scores, hard, hide, out, stream);
}

void priority_mask(Index index, Draw draw, PatchScores priority, Mask out, Stream stream) {
  check_mask("priority_mask", index, draw, out);
  check_scores("priority_mask", "priority", priority, out, false);
  PYMIM_RUN(priority_mask, index, index, draw, priority, out, stream);
}

void disjoint_masks(Index index, Draw draw, int64_t covered, Masks out, Stream stream) {
  const int64_t views = out.boolean[0], m = out.hidden[2], n = out.boolean[2];
  check(views > 0 && out.visible[0] == views && out.hidden[0] == views,
        "disjoint_masks: out: expected one number of views, 1 or more, got ", out.visible[0], ", ",
        out.hidden[0], " and ", views, "; pass outputs of that size");
  check_mask("disjoint_masks", index, draw, one_view(out, 0));
  check(covered >= m && covered <= std::min(n, views * m), "disjoint_masks: covered: expected ", m,
        " (hidden) to ", std::min(n, views * m), " (patches, or views x hidden), got ", covered,
        "; change it, or how many are hidden");
  PYMIM_RUN(disjoint_masks, index, index, draw, covered, out, stream);
}

void budget_mask(Index index, Draw draw, const Budget& budget, Mask out, Stream stream) {
  check_mask("budget_mask", index, draw, out);
  check(budget.grids > 0 && budget.grids <= static_cast<int>(Budget::kMost),
        "budget_mask: grids: expected 1 to ", Budget::kMost, ", got ", budget.grids,
        "; merge some");
  int64_t patches = 0;
  for (size_t g = 0; g < static_cast<size_t>(budget.grids); ++g) {
    check(budget.sizes[g] >= 0, "budget_mask: sizes: expected 0 or more, got ", budget.sizes[g],
          "; count patches");
    check(budget.alpha[g] >= 1e-3f && budget.alpha[g] <= 1e6f,
          "budget_mask: alpha: expected 1e-3 to 1e6, got ", budget.alpha[g],
          "; 1 gives every division the same chance");
    patches += budget.sizes[g];
  }
  check(patches == out.boolean[1], "budget_mask: sizes: expected a sum of ", out.boolean[1],
        " (V + M), got ", patches, "; pass outputs of that size");
  PYMIM_RUN(budget_mask, index, index, draw, budget, out, stream);
}

void subset_ids(Index index, Draw draw, View<const int64_t, 2> ids, View<int64_t, 2> out,
                Stream stream) {
  check_draw("subset_ids", index, draw);
  check_shape("subset_ids", "ids", ids, {index[0], -1}, "[B M]");
  check_shape("subset_ids", "out", out, {index[0], -1}, "[B K]");
  check_device("subset_ids", index, ids, out);
  check(out[1] <= ids[1] && ids[1] < int64_t{1} << 28, "subset_ids: out: expected at most ", ids[1],
        " columns (ids), and below 2^28, got ", out[1], "; ask for fewer");
  PYMIM_RUN(subset_ids, index, index, draw, ids, out, stream);
}

void expand_mask(View<const bool, 2> coarse, Extent grid, Extent unit, Mask out, Stream stream) {
  check_shape("expand_mask", "out.visible", out.visible, {coarse[0], -1}, "[B V]");
  check_shape("expand_mask", "out.hidden", out.hidden, {coarse[0], -1}, "[B M]");
  check_shape("expand_mask", "out.boolean", out.boolean,
              {coarse[0], out.visible[1] + out.hidden[1]}, "[B V+M]");
  check_device("expand_mask", coarse, out.visible, out.hidden, out.boolean);
  check_patches("expand_mask", out.boolean[1]);
  const int64_t size = check_units("expand_mask", grid, unit, out.boolean[1]);
  check(coarse[1] * size == out.boolean[1], "expand_mask: coarse: expected ", out.boolean[1] / size,
        " cells, got ", coarse[1], "; pass the mask of the grid divided by the unit");
  for (int64_t image = 0; coarse.device.kind == Device::cpu && image < coarse[0]; ++image) {
    const bool* row = coarse.data + image * coarse[1];
    const int64_t hides = std::count(row, row + coarse[1], true);
    check(hides * size == out.hidden[1], "expand_mask: coarse: expected ", out.hidden[1] / size,
          " hidden cells in every row, got ", hides, "; masks have equal counts");
  }
  PYMIM_RUN(expand_mask, coarse, coarse, grid, unit, out, stream);
}

}  // namespace pymim
