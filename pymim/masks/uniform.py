"""Patches hidden uniformly at random: one by one, by units, by tubes, or in disjoint views of one image."""

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
    """Hides a share `ratio`, without replacement, each image for itself (MAE, He et al. 2022).

    A unit of one patch hides patches; of several per axis, coarse cells (SimMIM, Xie et al. 2022; SparK, Tian et
    al. 2023) or, on a clip, cubes. The ratio is of units: a number, or a schedule over `steps`; `rounding` says how
    it becomes a count.
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

    def sample(self, index: Tensor, grid: Grid, visible: int, difficulty: Tensor | None, **draw: int) -> ops.Mask:
        return ops.uniform(index, grid, visible, unit=self.cell(grid), **draw)


class Tube(PlaneShare):
    """Hides the same places in every frame of a clip (VideoMAE, Tong et al. 2022); the ratio is of places: a
    number, or a schedule over `steps`."""

    def __init__(self, ratio: float | Schedule = 0.9, rounding: Rounding = "mask-floor", steps: int = 0):
        super().__init__(ratio, rounding, steps)

    def sample(self, index: Tensor, grid: Grid, visible: int, difficulty: Tensor | None, **draw: int) -> ops.Mask:
        return ops.uniform(index, grid, visible, unit=self.cell(grid), **draw)


class Disjoint:
    """`draws` masks of each view that overlap as little as they can (DMJD, Ma et al. 2022): each is uniform, and
    together they hide min(N, draws M) patches, or the share `covered`. `ratio`: a number, or a schedule over
    `steps`."""

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
        self.ratio, self.rounding, self.steps = ratio, rounding, steps
        self.draws, self.covered = draws, covered

    def __call__(
        self, index: Int[Tensor, " B"], grid: Grid, draw: Draw, difficulty: Float[Tensor, "B N"] | None = None
    ) -> list[Mask]:
        patches = math.prod(grid)
        visible = some_visible(self, patches, at(self.ratio, draw.step, self.steps), self.rounding)
        covered = None if self.covered is None else part(patches, self.covered, "round")
        masks = ops.disjoint(index, patches, visible, views=self.draws, covered=covered, **draw._asdict())
        return [hide(mask) for mask in masks]
