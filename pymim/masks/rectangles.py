"""Masks made of rectangles: hidden blocks, one visible block, and target blocks beside a context."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import Tensor

from pymim import checks
from pymim.contracts import Draw, Grid, Mask
from pymim.errors import ConfigError
from pymim.masks.count import Rounding
from pymim.masks.share import PlaneShare, Share
from pymim.ops import block as ops
from pymim.ops import grid as shapes
from pymim.parts import part
from pymim.schedule import Schedule

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Block(Share):
    """Hides exactly a share `ratio`, one block after another (BEiT, Bao et al. 2022; CAE, Chen et al. 2024).

    `ratio` is a number, or a schedule over `steps`; `area` a block's least and greatest, in patches (None: whatever
    is left to hide), `aspect` its rows by columns; on a clip it lasts `duration` frames.
    """

    def __init__(
        self,
        ratio: float | Schedule = 0.4,
        rounding: Rounding = "keep-floor",
        area: tuple[float, float | None] = (16, None),
        aspect: tuple[float, float] = (0.3, 1 / 0.3),
        duration: tuple[int, int] | None = None,
        steps: int = 0,
    ):
        checks.ascending(self, checks.positive, area=area, aspect=aspect)
        checks.ascending(self, checks.whole, 1, **checks.given(duration=duration))
        super().__init__(ratio, rounding, steps)
        self.area, self.aspect, self.duration = area, aspect, duration

    def sample(
        self, index: Tensor, grid: Grid, visible: int, difficulty: Tensor | None, **draw: int
    ) -> shapes.Mask:
        hidden, frames = math.prod(grid) - visible, self.duration
        return ops.block(index, grid, hidden, area=self.area, aspect=self.aspect, duration=frames, **draw)


class InverseBlock(PlaneShare):
    """Hides all but one rectangle, which `roll` may move over the borders (CAPI, Darcet et al. 2025). `ratio`: a
    number, or a schedule over `steps`."""

    def __init__(
        self,
        ratio: float | Schedule = 0.65,
        rounding: Rounding = "mask-floor",
        aspect: tuple[float, float] = (0.5, 2.0),
        roll: bool = True,
        steps: int = 0,
    ):
        checks.ascending(self, checks.positive, aspect=aspect)
        super().__init__(ratio, rounding, steps)
        self.aspect, self.roll = aspect, roll

    def sample(
        self, index: Tensor, grid: Grid, visible: int, difficulty: Tensor | None, **draw: int
    ) -> shapes.Mask:
        return ops.inverse_block(index, grid, visible, aspect=self.aspect, roll=self.roll, **draw)


class MultiBlock:
    """Shows a share `visible` out of a large context block, and predicts `blocks` smaller ones cut out of it, each
    apart from the others (I-JEPA, Assran et al. 2023).

    The blocks' sizes are the step's; predicted ids are those of one block after another, [B blocks*K], and repeat
    where blocks overlap: `Mask.groups` is their number.

    Args:
        visible: how much of the grid is seen, less than any context is likely to keep.
        blocks: how many are predicted.
        share, aspect: of the grid's area that a predicted block has, and its rows by columns.
        context: the share that the context block has before predicted ones are taken out of it.
        edges: whether blocks may touch the last row and column; they never do in the released code.
        raster: cut the context to `visible` in raster order, which loses its last rows, as the released code does;
            else at random.
    """

    def __init__(
        self,
        visible: float = 0.25,
        blocks: int = 4,
        share: tuple[float, float] = (0.15, 0.2),
        aspect: tuple[float, float] = (0.75, 1.5),
        context: tuple[float, float] = (0.85, 1.0),
        edges: bool = True,
        raster: bool = False,
    ):
        checks.share(self, "above 0, to 1", visible=visible)
        checks.ascending(self, checks.share, "above 0, to 1", share=share, context=context)
        checks.ascending(self, checks.positive, aspect=aspect)
        checks.whole(self, 1, blocks=blocks)
        self.visible, self.blocks = visible, blocks
        self.share, self.aspect, self.context = share, aspect, context
        self.edges, self.raster = edges, raster

    def __call__(
        self, index: Int[Tensor, " B"], grid: Grid, draw: Draw, difficulty: Float[Tensor, "B N"] | None = None
    ) -> Mask:
        name = {"edges": self.edges, **draw._asdict()}
        target = ops.block_size(grid, share=self.share, aspect=self.aspect, **name)
        context = ops.block_size(grid, share=self.context, which=1, **name)
        visible = math.prod(grid[:-2]) * part(math.prod(grid[-2:]), self.visible)
        if not visible:
            raise ConfigError(
                f"MultiBlock: visible: expected a share that leaves a patch of a grid of {grid} visible, got "
                f"{self.visible}; raise it"
            )
        found = ops.multi_block(
            index,
            grid,
            visible,
            target=target,
            context=context,
            blocks=self.blocks,
            raster=self.raster,
            **name,
        )
        return Mask(found.visible, found.hidden, found.targets.flatten(1), groups=self.blocks)
