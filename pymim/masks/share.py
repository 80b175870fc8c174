"""What every policy that hides a share of the grid has in common."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from torch import Tensor

from pymim.checks import share, whole
from pymim.contracts import Draw, Grid, Mask
from pymim.masks.count import Rounding, some_visible
from pymim.masks.hide import hide
from pymim.ops import grid as ops
from pymim.schedule import Schedule, at

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Share(ABC):
    """Hides a share `ratio` of the units of a grid: the same number in every image of a step.

    Args:
        ratio: a number, or a schedule over `steps`.
        rounding: how a share becomes a count: see `visible_count`.
        steps: of the run.
    """

    def __init__(self, ratio: float | Schedule, rounding: Rounding, steps: int):
        share(self, ratio=ratio)
        whole(self, 0, steps=steps)
        self.ratio, self.rounding, self.steps = ratio, rounding, steps

    def __call__(
        self,
        index: Int[Tensor, " B"],
        grid: Grid,
        draw: Draw,
        difficulty: Float[Tensor, "B N"] | None = None,
    ) -> Mask:
        return hide(self.sample(index, grid, self.visible(grid, draw.step), difficulty, **draw._asdict()))

    @abstractmethod
    def sample(self, index: Tensor, grid: Grid, visible: int, difficulty: Tensor | None, **draw: int) -> ops.Mask:
        """Draw masks that leave so many patches visible."""

    def cell(self, grid: Grid) -> Grid:
        """Give the size of a unit, in patches; the ratio is of units."""
        return (1,) * len(grid)

    def visible(self, grid: Grid, step: int) -> int:
        """Give how many patches stay visible at a step."""
        size = math.prod(self.cell(grid))
        units, ratio = math.prod(grid) // size, at(self.ratio, step, self.steps)
        return size * some_visible(self, units, ratio, self.rounding)


class PlaneShare(Share):
    """Hides a share of the places of a frame, the same number in every frame of a clip."""

    def cell(self, grid: Grid) -> Grid:
        return (*grid[:-2], 1, 1)
