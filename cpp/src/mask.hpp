#pragma once

#include "kernels.hpp"
#include "pymim/mask.hpp"

PYMIM_EACH_PLACE(
    using Index = View<const int64_t, 1>;
    void uniform_mask(Index index, Draw draw, Extent grid, Extent unit, Mask out, Stream stream);
    void filtered_mask(Index index, Draw draw, View<const float, 3> bank, int64_t rows,
                       int64_t columns, Mask out, Stream stream);
    void weighted_mask(Index index, Draw draw, PatchScores weights, Drawn drawn, Mask out,
                       Stream stream);
    void ranked_mask(Index index, Draw draw, PatchScores scores, int64_t hard, Hide hide, Mask out,
                     Stream stream);
    void priority_mask(Index index, Draw draw, PatchScores priority, Mask out, Stream stream);
    void disjoint_masks(Index index, Draw draw, int64_t covered, Masks out, Stream stream);
    void budget_mask(Index index, Draw draw, const Budget& budget, Mask out, Stream stream);
    void subset_ids(Index index, Draw draw, View<const int64_t, 2> ids, View<int64_t, 2> out,
                    Stream stream);
    void expand_mask(View<const bool, 2> coarse, Extent grid, Extent unit, Mask out, Stream stream);
    // On the CPU alone: whether any score is infinite, NaN or, where that counts, negative.
    void find_bad(const PatchScores& scores, bool refuse_negative, bool& bad);)
