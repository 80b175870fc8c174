"""Patches hidden uniformly at random: one by one, by units, by tubes, or in disjoint views of one image."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import Tensor

from pymim.contracts import Draw, Grid, Mask
from pymim.masks.count import Rounding, visible_count
from pymim.masks.hide import hide
from pymim.ops import mask as ops

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Uniform:
    """Hides a share `ratio`, without replacement, each image for itself (MAE, He et al. 2022).

    A unit of one patch hides patches; of several per axis, coarse cells (SimMIM, Xie et al. 2022; SparK, Tian et
    al. 2023) or, on a clip, cubes. The ratio is of units, and `rounding` says how it becomes a count.
    """

    def __init__(self, ratio: float = 0.75, rounding: Rounding = "keep-floor", unit: int | tuple[int, ...] = 1):
        self.ratio, self.rounding, self.unit = ratio, rounding, unit

    def __call__(
        self, index: Int[Tensor, " B"], grid: Grid, draw: Draw, difficulty: Float[Tensor, "B N"] | None = None
    ) -> Mask:
        unit = (self.unit,) * len(grid) if isinstance(self.unit, int) else self.unit
        return _uniform(index, grid, unit, draw, self.ratio, self.rounding)


class Tube:
    """Hides the same places in every frame of a clip (VideoMAE, Tong et al. 2022); the ratio is of places."""

    def __init__(self, ratio: float = 0.9, rounding: Rounding = "mask-floor"):
        self.ratio, self.rounding = ratio, rounding

    def __call__(
        self, index: Int[Tensor, " B"], grid: Grid, draw: Draw, difficulty: Float[Tensor, "B N"] | None = None
    ) -> Mask:
        return _uniform(index, grid, (*grid[:-2], 1, 1), draw, self.ratio, self.rounding)


class Disjoint:
    """`draws` masks of each view that overlap as little as they can (DMJD, Ma et al. 2022): each is uniform, and
    together they hide min(N, draws M) patches, or the share `covered`."""

    def __init__(
        self,
        ratio: float = 0.75,
        draws: int = 2,
        covered: float | None = None,
        rounding: Rounding = "keep-floor",
    ):
        self.ratio, self.draws, self.covered, self.rounding = ratio, draws, covered, rounding

    def __call__(
        self, index: Int[Tensor, " B"], grid: Grid, draw: Draw, difficulty: Float[Tensor, "B N"] | None = None
    ) -> list[Mask]:
        patches = math.prod(grid)
        visible = visible_count(patches, self.ratio, self.rounding)
        covered = None if self.covered is None else round(self.covered * patches)
        masks = ops.disjoint(index, patches, visible, views=self.draws, covered=covered, **draw._asdict())
        return [hide(mask) for mask in masks]


def _uniform(index: Tensor, grid: Grid, unit: Grid, draw: Draw, ratio: float, rounding: Rounding) -> Mask:
    size = math.prod(unit)
    visible = size * visible_count(math.prod(grid) // size, ratio, rounding)
    return hide(ops.uniform(index, grid, visible, unit=unit, **draw._asdict()))
