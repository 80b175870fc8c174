"""Masks guided by a ranker's difficulty. Without one, as before the ranker's first scores, they are
uniform.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from pymim.checks import share
from pymim.contracts import Grid
from pymim.masks.count import Rounding
from pymim.masks.ratio import RatioPolicy
from pymim.ops import grid as ops
from pymim.ops import guided
from pymim.parts import part
from pymim.schedule import Schedule, at


class Ranked(RatioPolicy):
    """Hide the most difficult patches, and others at random (HPM, Wang et al. 2023).

    Args:
        ratio: share of patches hidden; a number, or a schedule over `steps`.
        hard: share of the hidden patches chosen by difficulty; a number or a schedule. 0 is the
            uniform mask.
        hide: hide the "highest" or the "lowest" scores.
        rounding: how the ratio becomes a count; see `visible_count`.
        steps: length of the run in steps, for the schedules.
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

    def sample(
        self, index: Tensor, grid: Grid, visible: int, difficulty: Tensor | None, **draw: int
    ) -> ops.MaskIds:
        patches = math.prod(grid)
        hard_share = at(self.hard, draw["step"], self.steps)
        hard = 0 if difficulty is None else part(patches - visible, hard_share)
        scores = _scores(index, patches, difficulty)
        return guided.ranked(index, scores, visible, hard, hide=self.hide, **draw)


class Weighted(RatioPolicy):
    """Draw patches with probability in proportion to their difficulty, 0 or more, without
    replacement.

    (MaskAlign, Xue et al. 2023; AdaMAE, Bandara et al. 2023.)

    Args:
        ratio: share of patches hidden; a number, or a schedule over `steps`.
        side: draw the "visible" or the "hidden" patches.
        rounding: how the ratio becomes a count; see `visible_count`.
        steps: length of the run in steps, for the schedule.
    """

    def __init__(
        self,
        ratio: float | Schedule = 0.75,
        side: Literal["visible", "hidden"] = "visible",
        rounding: Rounding = "keep-floor",
        steps: int = 0,
    ):
        super().__init__(ratio, rounding, steps)
        self.side = side

    def sample(
        self, index: Tensor, grid: Grid, visible: int, difficulty: Tensor | None, **draw: int
    ) -> ops.MaskIds:
        weights = _scores(index, math.prod(grid), difficulty)
        return guided.weighted(index, weights, visible, side=self.side, **draw)


class Priority(RatioPolicy):
    """Hide the patches with the largest difficulty + U[0, 1) (HAP, Yuan et al. 2023).

    A patch whose difficulty is 1 above another's is always hidden before it.

    Args:
        ratio: share of patches hidden; a number, or a schedule over `steps`.
        rounding: how the ratio becomes a count; see `visible_count`.
        steps: length of the run in steps, for the schedule.
    """

    def __init__(
        self, ratio: float | Schedule = 0.75, rounding: Rounding = "keep-floor", steps: int = 0
    ):
        super().__init__(ratio, rounding, steps)

    def sample(
        self, index: Tensor, grid: Grid, visible: int, difficulty: Tensor | None, **draw: int
    ) -> ops.MaskIds:
        return guided.priority(index, _scores(index, math.prod(grid), difficulty), visible, **draw)


def _scores(index: Tensor, patches: int, difficulty: Tensor | None) -> Tensor:
    """Give the difficulty in float32: ties in half precision would decide the order."""
    if difficulty is None:
        return torch.ones(len(index), patches, device=index.device)
    return difficulty.detach().float()
