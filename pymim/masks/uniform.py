"""Hide patches uniformly at random: single patches, units, tubes, or disjoint sets in several masks
of one image.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import Tensor

from pymim.checks import given, share, whole
from pymim.contracts import Draw, Grid, Mask
from pymim.masks.convert import predict_hidden
from pymim.masks.count import Rounding, some_visible
from pymim.masks.ratio import PlaneRatioPolicy, RatioPolicy
from pymim.ops import mask as ops
from pymim.parts import part
from pymim.schedule import Schedule, at

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Uniform(RatioPolicy):
    """Hide a share `ratio` at random without replacement, independently in each image (MAE, He et
    al. 2022).

    Args:
        ratio: share of units hidden; a number, or a schedule over `steps`.
        rounding: how the ratio becomes a count; see `visible_count`.
        unit: patches hidden together: 1; or several per axis, which hides coarse cells (SimMIM, Xie
            et al. 2022; SparK, Tian et al. 2023) or, in a clip, cubes.
        steps: length of the run in steps, for the schedule.
    """

    def __init__(
        self,
        ratio: float | Schedule = 0.75,
        rounding: Rounding = "keep-floor",
        unit: int | tuple[int, ...] = 1,
        steps: int = 0,
    ):
        whole(self, 1, unit=unit)
        super().__init__(ratio, rounding, steps)
        self.unit = unit

    def cell(self, grid: Grid) -> Grid:
        return (self.unit,) * len(grid) if isinstance(self.unit, int) else self.unit

    def sample(
        self, index: Tensor, grid: Grid, visible: int, difficulty: Tensor | None, **draw: int
    ) -> ops.MaskIds:
        return ops.uniform(index, grid, visible, unit=self.cell(grid), **draw)


class Tube(PlaneRatioPolicy):
    """Hide the same places in every frame of a clip (VideoMAE, Tong et al. 2022).

    Args:
        ratio: share of places hidden; a number, or a schedule over `steps`.
        rounding: how the ratio becomes a count; see `visible_count`.
        steps: length of the run in steps, for the schedule.
    """

    def __init__(
        self, ratio: float | Schedule = 0.9, rounding: Rounding = "mask-floor", steps: int = 0
    ):
        super().__init__(ratio, rounding, steps)

    def sample(
        self, index: Tensor, grid: Grid, visible: int, difficulty: Tensor | None, **draw: int
    ) -> ops.MaskIds:
        return ops.uniform(index, grid, visible, unit=self.cell(grid), **draw)


class Disjoint:
    """Draw several masks of each view that overlap as little as possible (DMJD, Ma et al. 2022).

    Each mask is uniform and hides M patches. Together they hide as many as they can, or the share
    `covered`.

    Args:
        ratio: share of patches that each mask hides; a number, or a schedule over `steps`.
        masks_per_view: number of masks of each view.
        covered: share of patches that all masks together hide; None: as many as possible.
        rounding: how the ratio becomes a count; see `visible_count`.
        steps: length of the run in steps, for the schedule.
    """

    def __init__(
        self,
        ratio: float | Schedule = 0.75,
        masks_per_view: int = 2,
        covered: float | None = None,
        rounding: Rounding = "keep-floor",
        steps: int = 0,
    ):
        share(self, ratio=ratio)
        share(self, "above 0, to 1", **given(covered=covered))
        whole(self, 1, masks_per_view=masks_per_view)
        self.ratio, self.rounding = ratio, rounding
        self.steps = steps
        self.masks_per_view, self.covered = masks_per_view, covered

    def __call__(
        self,
        index: Int[Tensor, " B"],
        grid: Grid,
        draw: Draw,
        difficulty: Float[Tensor, "B N"] | None = None,
    ) -> list[Mask]:
        patches = math.prod(grid)
        visible = some_visible(self, patches, at(self.ratio, draw.step, self.steps), self.rounding)
        covered = None if self.covered is None else part(patches, self.covered, "round")
        masks = ops.disjoint(
            index, patches, visible, views=self.masks_per_view, covered=covered, **draw._asdict()
        )
        return [predict_hidden(mask) for mask in masks]
