"""Masks made of rectangles: hidden blocks, one visible block, and target blocks beside a context."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import Tensor

from pymim.contracts import Draw, Grid, Mask
from pymim.masks.count import Rounding, visible_count
from pymim.masks.hide import hide
from pymim.ops import block as ops

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Block:
    """Hides exactly a share `ratio`, one block after another (BEiT, Bao et al. 2022; CAE, Chen et al. 2024).

    `area` is a block's least and greatest, in patches (None: whatever is left to hide), `aspect` its rows by
    columns; on a clip it lasts `duration` frames.
    """

    def __init__(
        self,
        ratio: float = 0.4,
        rounding: Rounding = "keep-floor",
        area: tuple[float, float | None] = (16, None),
        aspect: tuple[float, float] = (0.3, 1 / 0.3),
        duration: tuple[int, int] | None = None,
    ):
        self.ratio, self.rounding = ratio, rounding
        self.area, self.aspect, self.duration = area, aspect, duration

    def __call__(
        self, index: Int[Tensor, " B"], grid: Grid, draw: Draw, difficulty: Float[Tensor, "B N"] | None = None
    ) -> Mask:
        patches = math.prod(grid)
        hidden = patches - visible_count(patches, self.ratio, self.rounding)
        area, aspect, frames = self.area, self.aspect, self.duration
        found = ops.block(index, grid, hidden, area=area, aspect=aspect, duration=frames, **draw._asdict())
        return hide(found)


class InverseBlock:
    """Hides all but one rectangle, which `roll` may move over the borders (CAPI, Darcet et al. 2025)."""

    def __init__(
        self,
        ratio: float = 0.65,
        rounding: Rounding = "mask-floor",
        aspect: tuple[float, float] = (0.5, 2.0),
        roll: bool = True,
    ):
        self.ratio, self.rounding, self.aspect, self.roll = ratio, rounding, aspect, roll

    def __call__(
        self, index: Int[Tensor, " B"], grid: Grid, draw: Draw, difficulty: Float[Tensor, "B N"] | None = None
    ) -> Mask:
        visible = math.prod(grid[:-2]) * visible_count(math.prod(grid[-2:]), self.ratio, self.rounding)
        aspect, roll = self.aspect, self.roll
        return hide(ops.inverse_block(index, grid, visible, aspect=aspect, roll=roll, **draw._asdict()))


class MultiBlock:
    """Shows a share `visible` out of a large context block, and predicts `blocks` smaller ones cut out of it
    (I-JEPA, Assran et al. 2023).

    The blocks' sizes are the step's; predicted ids are those of one block after another, [B blocks*K], and repeat
    where blocks overlap. `share` and `context` are areas, as shares of the grid.
    """

    def __init__(
        self,
        visible: float = 0.25,
        blocks: int = 4,
        share: tuple[float, float] = (0.15, 0.2),
        aspect: tuple[float, float] = (0.75, 1.5),
        context: tuple[float, float] = (0.85, 1.0),
    ):
        self.visible, self.blocks = visible, blocks
        self.share, self.aspect, self.context = share, aspect, context

    def __call__(
        self, index: Int[Tensor, " B"], grid: Grid, draw: Draw, difficulty: Float[Tensor, "B N"] | None = None
    ) -> Mask:
        name = draw._asdict()
        target = ops.block_size(grid, share=self.share, aspect=self.aspect, **name)
        context = ops.block_size(grid, share=self.context, which=1, **name)
        visible = math.prod(grid[:-2]) * int(self.visible * math.prod(grid[-2:]))
        found = ops.multi_block(index, grid, visible, target=target, context=context, blocks=self.blocks, **name)
        return Mask(found.visible, found.hidden, found.targets.flatten(1))
