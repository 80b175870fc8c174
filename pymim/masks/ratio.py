"""Base classes of the policies that hide a share of the grid."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from torch import Tensor

from pymim.checks import share, whole
from pymim.contracts import Draw, Grid, Mask
from pymim.masks.convert import predict_hidden
from pymim.masks.count import Rounding, some_visible
from pymim.ops import grid as ops
from pymim.schedule import Schedule, at

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class RatioPolicy(ABC):
    """Base class: hide a share of the units of a grid, the same number in every image of a step.

    Args:
        ratio: share of units hidden; a number, or a schedule over `steps`.
        rounding: how the ratio becomes a count; see `visible_count`.
        steps: length of the run in steps, for the schedule.

    Raises:
        ValueError: an argument is out of range; when called, ConfigError if all units would be
            hidden.
    """

    def __init__(self, ratio: float | Schedule, rounding: Rounding, steps: int):
        share(self, ratio=ratio)
        whole(self, 0, steps=steps)
        self.ratio, self.rounding = ratio, rounding
        self.steps = steps

    def __call__(
        self,
        index: Int[Tensor, " B"],
        grid: Grid,
        draw: Draw,
        difficulty: Float[Tensor, "B N"] | None = None,
    ) -> Mask:
        return predict_hidden(
            self.sample(index, grid, self.visible(grid, draw.step), difficulty, **draw._asdict())
        )

    @abstractmethod
    def sample(
        self, index: Tensor, grid: Grid, visible: int, difficulty: Tensor | None, **draw: int
    ) -> ops.MaskIds:
        """Draw masks with `visible` visible patches."""

    def cell(self, grid: Grid) -> Grid:
        """Give the size of a unit in patches, per axis; the ratio counts units."""
        return (1,) * len(grid)

    def visible(self, grid: Grid, step: int) -> int:
        """Give how many patches stay visible at a step."""
        size = math.prod(self.cell(grid))
        units, ratio = math.prod(grid) // size, at(self.ratio, step, self.steps)
        return size * some_visible(self, units, ratio, self.rounding)


class PlaneRatioPolicy(RatioPolicy):
    """Base class: hide a share of the places of a frame, equally many in every frame of a clip."""

    def cell(self, grid: Grid) -> Grid:
        return (*grid[:-2], 1, 1)
