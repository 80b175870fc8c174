"""Masks cut from coloured noise (ColorMAE, Hinojosa et al. 2024)."""

from __future__ import annotations

import math

from torch import Tensor

from pymim.checks import positive, whole
from pymim.contracts import Grid
from pymim.masks.count import Rounding
from pymim.masks.noise import Frequencies, patterns
from pymim.masks.ratio import PlaneRatioPolicy
from pymim.ops import mask as ops
from pymim.schedule import Schedule


class Noise(PlaneRatioPolicy):
    """Show the strongest patches of a random crop of filtered noise; the same in every frame of a
    clip.

    Patterns are made at the first call.

    Args:
        ratio: share of patches hidden; a number, or a schedule over `steps`.
        band: frequencies that the filter passes: "low", "high", "band" or "stop".
        sigma: deviation of the smaller Gaussian blur, in patches.
        wide: deviation of the larger blur, in patches; "band" and "stop" use it.
        count: number of patterns.
        size: patches per side of a pattern.
        rounding: how the ratio becomes a count; see `visible_count`.
        steps: length of the run in steps, for the schedule.
    """

    def __init__(
        self,
        ratio: float | Schedule = 0.75,
        band: Frequencies = "band",
        sigma: float = 0.8,
        wide: float = 2.4,
        count: int = 64,
        size: int = 64,
        rounding: Rounding = "keep-floor",
        steps: int = 0,
    ):
        whole(self, 1, count=count, size=size)
        positive(self, sigma=sigma, wide=wide)
        super().__init__(ratio, rounding, steps)
        self.law = {"count": count, "size": size, "band": band, "sigma": sigma, "wide": wide}
        self.bank: Tensor | None = None

    def sample(
        self, index: Tensor, grid: Grid, visible: int, difficulty: Tensor | None, **draw: int
    ) -> ops.MaskIds:
        if self.bank is None or self.bank.device != index.device:
            bank = patterns(**self.law, seed=draw["seed"])  # type: ignore[arg-type]
            self.bank = bank.to(index.device)
        plane, frames = (grid[-2], grid[-1]), math.prod(grid[:-2])
        mask = ops.filtered(index, self.bank, plane, visible // frames, **draw)
        return (
            mask
            if len(grid) == 2
            else ops.expand(mask.boolean, grid, visible, unit=self.cell(grid))
        )
