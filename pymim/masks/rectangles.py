"""Masks of rectangles: hidden blocks, one visible block, or target blocks beside a context."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import Tensor

from pymim import checks
from pymim.contracts import Draw, Grid, Mask
from pymim.errors import ConfigError
from pymim.masks.count import Rounding
from pymim.masks.ratio import PlaneRatioPolicy, RatioPolicy
from pymim.ops import block as ops
from pymim.ops import grid as shapes
from pymim.parts import part
from pymim.schedule import Schedule

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Block(RatioPolicy):
    """Hide exactly a share `ratio`, one block after another (BEiT, Bao et al. 2022; CAE, Chen et
    al. 2024).

    Args:
        ratio: share of patches hidden; a number, or a schedule over `steps`.
        rounding: how the ratio becomes a count; see `visible_count`.
        area: least and greatest patches of a block; None: as many as are left to hide.
        aspect: least and greatest rows by columns of a block.
        duration: least and greatest frames of a block in a clip; None: any number.
        steps: length of the run in steps, for the schedule.
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
        self.area, self.aspect = area, aspect
        self.duration = duration

    def sample(
        self, index: Tensor, grid: Grid, visible: int, difficulty: Tensor | None, **draw: int
    ) -> shapes.MaskIds:
        hidden, frames = math.prod(grid) - visible, self.duration
        return ops.block(
            index, grid, hidden, area=self.area, aspect=self.aspect, duration=frames, **draw
        )


class InverseBlock(PlaneRatioPolicy):
    """Hide all patches but one rectangle (CAPI, Darcet et al. 2025).

    Args:
        ratio: share of patches hidden; a number, or a schedule over `steps`.
        rounding: how the ratio becomes a count; see `visible_count`.
        aspect: least and greatest rows by columns of the rectangle.
        roll: shift the mask at random, so that the rectangle may wrap around the borders.
        steps: length of the run in steps, for the schedule.
    """

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
    ) -> shapes.MaskIds:
        return ops.inverse_block(index, grid, visible, aspect=self.aspect, roll=self.roll, **draw)


class MultiBlock:
    """Show patches of a large context block, and predict `blocks` smaller blocks cut out of it
    (I-JEPA, Assran et al. 2023).

    Each block is predicted apart from the others. All images of a step have blocks of one size.
    Predicted ids [B blocks*K] list one block after another, and repeat where blocks overlap;
    `Mask.groups` is the number of blocks.

    Args:
        visible: share of the grid that is seen; less than a context usually keeps.
        blocks: number of predicted blocks.
        share: least and greatest share of the grid's area of a predicted block.
        aspect: least and greatest rows by columns of a predicted block.
        context: least and greatest share of the context block, before predicted blocks are cut out.
        edges: let blocks touch the last row and column; they never do in the released code.
        raster: cut the context to `visible` in raster order, which loses its last rows, as
            released; otherwise at random.

    Raises:
        ValueError: an argument is out of range; when called, ConfigError if no patch would be
            visible.
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
        self.share, self.aspect = share, aspect
        self.context = context
        self.edges, self.raster = edges, raster

    def __call__(
        self,
        index: Int[Tensor, " B"],
        grid: Grid,
        draw: Draw,
        difficulty: Float[Tensor, "B N"] | None = None,
    ) -> Mask:
        name = {"edges": self.edges, **draw._asdict()}
        target = ops.block_size(grid, share=self.share, aspect=self.aspect, **name)
        context = ops.block_size(grid, share=self.context, which=1, **name)
        visible = math.prod(grid[:-2]) * part(math.prod(grid[-2:]), self.visible)
        if not visible:
            raise ConfigError(
                f"MultiBlock: visible: expected a share that leaves a patch of the grid {grid} "
                f"visible, got {self.visible}; raise it"
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
