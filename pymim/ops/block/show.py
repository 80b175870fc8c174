"""Blocks that stay visible: one rectangle, or a context for target blocks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from pymim import _core
from pymim.ops.arrays import accepts_numpy, stream
from pymim.ops.block.board import empty_board
from pymim.ops.door import speaks
from pymim.ops.grid import Grid, MaskIds, Triple, check_count, empty, extent
from pymim.ops.register import op

Range = tuple[float, float]


class Targets(NamedTuple):
    """A mask whose visible patches are the context, and the blocks to predict; ids ascend."""

    visible: Tensor  # int64 [B V]
    hidden: Tensor  # int64 [B M]
    boolean: Tensor  # bool [B N], True = hidden
    targets: Tensor  # int64 [B S K]; blocks may overlap


def _empty_inverse(index: Tensor, grid: Sequence[int], visible: int, *law: object) -> Triple:
    return empty(index, math.prod(grid), visible)


@op("inverse_block_mask", _empty_inverse)
def inverse_block_mask(
    index: Tensor,
    grid: Sequence[int],
    visible: int,
    aspect: Sequence[float],
    roll: bool,
    seed: int,
    step: int,
    view: int,
) -> tuple[Tensor, Tensor, Tensor]:
    out = _empty_inverse(index, grid, visible)
    board = empty_board(index, (1, *grid[1:]))
    _core.block.inverse(index, seed, step, view, grid, aspect, roll, board, *out, stream(index))
    return out


def _empty_multi(
    index: Tensor,
    grid: Sequence[int],
    visible: int,
    blocks: int,
    target: Sequence[int],
    *law: object,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    targets = index.new_empty(index.shape[0], blocks, grid[0] * math.prod(target))
    return (*empty(index, math.prod(grid), visible), targets)


@op("multi_block_mask", _empty_multi)
def multi_block_mask(
    index: Tensor,
    grid: Sequence[int],
    visible: int,
    blocks: int,
    target: Sequence[int],
    context: Sequence[int],
    edges: bool,
    raster: bool,
    seed: int,
    step: int,
    view: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    out = _empty_multi(index, grid, visible, blocks, target)
    board = empty_board(index, (1, *grid[1:]))
    _core.block.multi(
        index, seed, step, view, grid, target, context, edges, raster, board, *out, stream(index)
    )
    return out


@accepts_numpy
def inverse_block(
    index: Tensor,
    grid: Grid,
    visible: int,
    *,
    aspect: Range = (0.5, 2.0),
    roll: bool = True,
    seed: int = 0,
    step: int = 0,
    view: int = 0,
) -> MaskIds:
    """Hide all patches but one rectangle (CAPI, Darcet et al. 2025).

    Its aspect r is log-uniform on the part of `aspect` at which V patches fit the grid; if none
    fits, r is the nearest aspect that does. It has ceil(sqrt(V r)) rows and ceil(sqrt(V / r))
    columns, cut to V in raster order, so its last row may be incomplete. Its place is uniform in
    the grid, or with `roll` on the torus of the joined edges, so it may wrap around. Every frame of
    a clip has the same rectangle.

    Args:
        index: int64 [B], the dataset index of each image, below 2^40. Masks are on its device.
        grid: N patches as (frames, rows, columns), (rows, columns) or one number.
        visible: V, the number of visible patches, 0 <= V <= N, the same in every frame.
        aspect: least and greatest height / width.
        roll: let the rectangle wrap around the edges.
        seed, step, view: identify the draw; below 2^63, 2^48 and 2^8.
    Returns:
        MaskIds.
    Raises:
        ValueError: a count or size is out of range; TypeError: `index` is not int64.
    Cost: O(B N), N bits of scratch an image.
    """
    sizes = extent("inverse_block", grid)
    check_count("inverse_block", "visible", visible, math.prod(sizes), "patches")
    return MaskIds(*inverse_block_mask(index, sizes, visible, aspect, roll, seed, step, view))


@accepts_numpy
def multi_block(
    index: Tensor,
    grid: Grid,
    visible: int,
    *,
    target: tuple[int, int],
    context: tuple[int, int],
    blocks: int = 4,
    edges: bool = True,
    raster: bool = False,
    seed: int = 0,
    step: int = 0,
    view: int = 0,
) -> Targets:
    """Draw target blocks, and a context block without them (I-JEPA, Assran et al. 2023).

    Draws the places of targets and context for each image, and removes the targets from the
    context. The caller gives the sizes, since all images of a batch share them: `block_size` draws
    them as I-JEPA does.

    Unlike I-JEPA, which cuts every context of a batch to the smallest, each is cut to the given V:
    a mask must not depend on the rest of the batch. V random patches stay, or with `raster` the
    first ones, which loses the bottom rows as the released code does. If a context has fewer than V
    patches, all blocks of the image are drawn again. After 32 draws the targets move onto the first
    target, one by one, until the context is large enough.
    Unlike the released code, blocks may touch the last row and column; `edges=False` forbids it.
    Every frame of a clip has the same blocks.

    Args:
        index: int64 [B], the dataset index of each image, below 2^40. Masks are on its device.
        grid: N patches as (frames, rows, columns), (rows, columns) or one number.
        visible: V, the patches that the context keeps, the same number in every frame, at most the
            context minus one target.
        target, context: rows and columns of a target and of the context.
        blocks: S, the number of targets, 1 to 64.
        edges: let blocks touch the last row and column.
        raster: cut the context in raster order.
        seed, step, view: identify the draw; below 2^63, 2^48 and 2^8.
    Returns:
        Targets.
    Raises:
        ValueError: a count or size is out of range; TypeError: `index` is not int64.
    Cost: O(B (N + S K)), N bits of scratch an image.
    """
    sizes = extent("multi_block", grid)
    check_count("multi_block", "visible", visible, math.prod(sizes), "patches")
    check_count("multi_block", "blocks", blocks, 64, "the most there may be")
    return Targets(
        *multi_block_mask(
            index, sizes, visible, blocks, target, context, edges, raster, seed, step, view
        )
    )


@speaks("block_size")
def block_size(
    grid: Grid,
    *,
    share: Range,
    aspect: Range = (1.0, 1.0),
    which: int = 0,
    together: bool = True,
    edges: bool = True,
    seed: int = 0,
    step: int = 0,
    view: int = 0,
) -> tuple[int, int]:
    """Draw the rows and columns of one block for all images of a step (I-JEPA, Assran et al. 2023).

    area = floor(N s) with s ~ U(share), and aspect r ~ U(aspect); round(sqrt(area r)) rows and
    round(sqrt(area / r)) columns, at most the grid's. I-JEPA's targets have share (0.15, 0.2) and
    aspect (0.75, 1.5); its context (0.85, 1) and aspect 1.

    Args:
        grid: (frames, rows, columns) or (rows, columns).
        share, aspect: their least and greatest values.
        which: number of the block, to draw sizes for several.
        together: use one random number for s and r, as in the released code; otherwise two.
        edges: False keeps the block a row and a column smaller than the grid, for `multi_block`.
        seed, step, view: identify the draw.
    Raises:
        ValueError: a range is out of bounds.
    """
    rows, columns = _core.block.size(
        seed, step, view, extent("block_size", grid), share, aspect, which, together, edges
    )
    return rows, columns
