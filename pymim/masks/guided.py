"""Masks guided by a ranker's difficulty. Without one, as before it has an opinion, they are uniform."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from pymim.checks import share
from pymim.contracts import Grid
from pymim.masks.count import Rounding
from pymim.masks.share import Share
from pymim.ops import grid as ops
from pymim.ops import guided
from pymim.parts import part
from pymim.schedule import Schedule, at


class Ranked(Share):
    """Hides the most difficult patches for certain, and others uniformly (HPM, Wang et al. 2023).

    `hard` is their share of the hidden ones; 0 is the uniform mask. `ratio` and `hard` are numbers, or schedules
    over `steps`. `hide` "lowest" turns it round.
    """

    def __init__(
        self,
        ratio: float | Schedule = 0.75,
        hard: float | Schedule = 0.5,
        hide: Literal["highest", "lowest"] = "highest",
        rounding: Rounding = "keep-floor",
        steps: int = 0,
    ):
        share(self, hard=hard)
        super().__init__(ratio, rounding, steps)
        self.hard, self.hide = hard, hide

    def sample(self, index: Tensor, grid: Grid, visible: int, difficulty: Tensor | None, **draw: int) -> ops.Mask:
        patches = math.prod(grid)
        share = at(self.hard, draw["step"], self.steps)
        hard = 0 if difficulty is None else part(patches - visible, share)
        scores = _scores(index, patches, difficulty)
        return guided.ranked(index, scores, visible, hard, hide=self.hide, **draw)


class Weighted(Share):
    """Draws the visible patches, or the hidden ones, with probability in proportion to a difficulty of 0 or more
    (MaskAlign, Xue et al. 2023; AdaMAE, Bandara et al. 2023). `ratio`: a number, or a schedule over `steps`."""

    def __init__(
        self,
        ratio: float | Schedule = 0.75,
        side: Literal["visible", "hidden"] = "visible",
        rounding: Rounding = "keep-floor",
        steps: int = 0,
    ):
        super().__init__(ratio, rounding, steps)
        self.side = side

    def sample(self, index: Tensor, grid: Grid, visible: int, difficulty: Tensor | None, **draw: int) -> ops.Mask:
        weights = _scores(index, math.prod(grid), difficulty)
        return guided.weighted(index, weights, visible, draw=self.side, **draw)


class Priority(Share):
    """Hides the largest of difficulty + U[0, 1): a step of one comes first for certain (HAP, Yuan et al. 2023).
    `ratio`: a number, or a schedule over `steps`."""

    def __init__(self, ratio: float | Schedule = 0.75, rounding: Rounding = "keep-floor", steps: int = 0):
        super().__init__(ratio, rounding, steps)

    def sample(self, index: Tensor, grid: Grid, visible: int, difficulty: Tensor | None, **draw: int) -> ops.Mask:
        return guided.priority(index, _scores(index, math.prod(grid), difficulty), visible, **draw)


def _scores(index: Tensor, patches: int, difficulty: Tensor | None) -> Tensor:
    """Give float32 also where a ranker works in half precision, whose ties would decide."""
    if difficulty is None:
        return torch.ones(len(index), patches, device=index.device)
    return difficulty.detach().float()
