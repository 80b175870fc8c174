"""Masks guided by a ranker's difficulty. Without one, as before it has an opinion, they are uniform."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from pymim.contracts import Draw, Grid, Mask
from pymim.masks.count import Rounding, visible_count
from pymim.masks.hide import hide
from pymim.ops import guided as ops
from pymim.schedule import Schedule, at

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Ranked:
    """Hides the most difficult patches for certain, and others uniformly (HPM, Wang et al. 2023).

    `hard` is their share of the hidden ones: a number, or a schedule over `steps`; 0 is the uniform mask. `hide`
    "lowest" turns it round.
    """

    def __init__(
        self,
        ratio: float = 0.75,
        hard: float | Schedule = 0.5,
        hide: Literal["highest", "lowest"] = "highest",
        rounding: Rounding = "keep-floor",
        steps: int = 0,
    ):
        self.ratio, self.hard, self.hide, self.rounding, self.steps = ratio, hard, hide, rounding, steps

    def __call__(
        self, index: Int[Tensor, " B"], grid: Grid, draw: Draw, difficulty: Float[Tensor, "B N"] | None = None
    ) -> Mask:
        patches = math.prod(grid)
        visible = visible_count(patches, self.ratio, self.rounding)
        share = at(self.hard, draw.step, self.steps)
        hard = 0 if difficulty is None else int((patches - visible) * share)
        scores = _scores(index, patches, difficulty)
        return hide(ops.ranked(index, scores, visible, hard, hide=self.hide, **draw._asdict()))


class Weighted:
    """Draws the visible patches, or the hidden ones, with probability in proportion to a difficulty of 0 or more
    (MaskAlign, Xue et al. 2023; AdaMAE, Bandara et al. 2023)."""

    def __init__(
        self,
        ratio: float = 0.75,
        side: Literal["visible", "hidden"] = "visible",
        rounding: Rounding = "keep-floor",
    ):
        self.ratio, self.side, self.rounding = ratio, side, rounding

    def __call__(
        self, index: Int[Tensor, " B"], grid: Grid, draw: Draw, difficulty: Float[Tensor, "B N"] | None = None
    ) -> Mask:
        visible = visible_count(math.prod(grid), self.ratio, self.rounding)
        weights = _scores(index, math.prod(grid), difficulty)
        return hide(ops.weighted(index, weights, visible, draw=self.side, **draw._asdict()))


class Priority:
    """Hides the largest of difficulty + U[0, 1): a step of one comes first for certain (HAP, Yuan et al. 2023)."""

    def __init__(self, ratio: float = 0.75, rounding: Rounding = "keep-floor"):
        self.ratio, self.rounding = ratio, rounding

    def __call__(
        self, index: Int[Tensor, " B"], grid: Grid, draw: Draw, difficulty: Float[Tensor, "B N"] | None = None
    ) -> Mask:
        visible = visible_count(math.prod(grid), self.ratio, self.rounding)
        return hide(ops.priority(index, _scores(index, math.prod(grid), difficulty), visible, **draw._asdict()))


def _scores(index: Tensor, patches: int, difficulty: Tensor | None) -> Tensor:
    """float32 also where a ranker works in half precision, whose ties would decide."""
    if difficulty is None:
        return torch.ones(len(index), patches, device=index.device)
    return difficulty.detach().float()
