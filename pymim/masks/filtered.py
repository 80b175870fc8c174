"""Masks cut from coloured noise (ColorMAE, Hinojosa et al. 2024)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import Tensor

from pymim.contracts import Draw, Grid, Mask
from pymim.masks.count import Rounding, visible_count
from pymim.masks.hide import hide
from pymim.masks.noise import Band, patterns
from pymim.ops import mask as ops

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Noise:
    """Shows the strongest patches of a random crop of filtered noise; on a clip the same in every frame.

    `count` patterns of side `size` are made on first use; `band` is what the filter lets pass.
    """

    def __init__(
        self,
        ratio: float = 0.75,
        band: Band = "band",
        sigma: float = 0.8,
        wide: float = 2.4,
        count: int = 64,
        size: int = 64,
        rounding: Rounding = "keep-floor",
    ):
        self.ratio, self.rounding = ratio, rounding
        self.law = {"count": count, "size": size, "band": band, "sigma": sigma, "wide": wide}
        self.bank: Tensor | None = None

    def __call__(
        self, index: Int[Tensor, " B"], grid: Grid, draw: Draw, difficulty: Float[Tensor, "B N"] | None = None
    ) -> Mask:
        if self.bank is None or self.bank.device != index.device:
            self.bank = patterns(**self.law, seed=draw.seed).to(index.device)  # type: ignore[arg-type]
        plane = grid[-2], grid[-1]
        visible = visible_count(math.prod(plane), self.ratio, self.rounding)
        mask = ops.filtered(index, self.bank, plane, visible, **draw._asdict())
        if len(grid) > 2:
            frames = math.prod(grid[:-2])
            mask = ops.expand(mask.boolean, grid, visible * frames, unit=(*grid[:-2], 1, 1))
        return hide(mask)
