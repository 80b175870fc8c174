"""Hide patches uniformly at random: single patches, units, tubes, or disjoint sets in several masks
of one image.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import Tensor

from pymim.checks import given, share, whole
from pymim.contracts import Draw, Grid, Mask
from pymim.masks.count import Rounding, some_visible
from pymim.masks.hide import hide
from pymim.masks.share import PlaneShare, Share
from pymim.ops import mask as ops
from pymim.parts import part
from pymim.schedule import Schedule, at

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Uniform(Share):
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
    ) -> ops.Mask:
        return ops.uniform(index, grid, visible, unit=self.cell(grid), **draw)


class Tube(PlaneShare):
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
    ) -> ops.Mask:
        return ops.uniform(index, grid, visible, unit=self.cell(grid), **draw)


class Disjoint:
    """Draw `draws` masks of each view that overlap as little as possible (DMJD, Ma et al. 2022).

    Each mask is uniform. Together they hide min(N, draws M) patches, or the share `covered`.

    Args:
        ratio: share of patches that each mask hides; a number, or a schedule over `steps`.
        draws: number of masks.
        covered: share of patches that all masks together hide; None: as many as possible.
        rounding: how the ratio becomes a count; see `visible_count`.
        steps: length of the run in steps, for the schedule.
    """

    def __init__(
        self,
        ratio: float | Schedule = 0.75,
        draws: int = 2,
        covered: float | None = None,
        rounding: Rounding = "keep-floor",
        steps: int = 0,
    ):
        share(self, ratio=ratio)
        share(self, "above 0, to 1", **given(covered=covered))
        whole(self, 1, draws=draws)
        self.ratio, self.rounding = ratio, rounding
        self.steps = steps
        self.draws, self.covered = draws, covered

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
            index, patches, visible, views=self.draws, covered=covered, **draw._asdict()
        )
        return [hide(mask) for mask in masks]
