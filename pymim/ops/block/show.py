"""Blocks that stay visible: one rectangle, or the context of target blocks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from pymim import _core
from pymim.ops.arrays import accepts_numpy, stream
from pymim.ops.block.board import empty_board
from pymim.ops.door import speaks
from pymim.ops.grid import Grid, Mask, Triple, check_count, empty, extent
from pymim.ops.register import op

Range = tuple[float, float]


class Targets(NamedTuple):
    """A Mask whose visible patches are the context, and the blocks to predict from it. Ids ascend."""

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
    index: Tensor, grid: Sequence[int], visible: int, blocks: int, target: Sequence[int], *law: object
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
    _core.block.multi(index, seed, step, view, grid, target, context, edges, raster, board, *out, stream(index))
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
) -> Mask:
    """Hides all but one rectangle (CAPI, Darcet et al. 2025).

    Its aspect r is log-uniform on the part of `aspect` at which V patches fit the grid (on the nearest aspect that
    does, where none of it is); it has ceil(sqrt(V r)) rows and ceil(sqrt(V / r)) columns, cut to V in raster order,
    so that its last row may be ragged. It lies anywhere inside the grid, or with `roll` anywhere on the torus that
    the grid becomes when its edges are joined, so that it may wrap. Every frame of a clip has the same rectangle.

    Args:
        index: int64 [B], the dataset index of each image, below 2^40. The masks come back on its device.
        grid: N patches as (frames, rows, columns), (rows, columns) or one number.
        visible: V, how many patches stay visible, 0 <= V <= N, the same number in every frame.
        aspect: least and greatest height / width.
        roll: whether the rectangle may wrap round the edges.
        seed, step, view: name the draw; below 2^63, 2^48 and 2^8.
    Returns:
        Mask.
    Raises:
        ValueError: a count or size is out of range; TypeError: `index` is not int64.
    Cost: O(B N), N bits of scratch an image.
    """
    sizes = extent("inverse_block", grid)
    check_count("inverse_block", "visible", visible, math.prod(sizes), "patches")
    return Mask(*inverse_block_mask(index, sizes, visible, aspect, roll, seed, step, view))


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
    """Target blocks, and a context block without them (I-JEPA, Assran et al. 2023).

    Draws the places of the targets and of the context for each image, and takes the targets out of the context.
    Sizes are the caller's, as all images of a batch share them: `block_size` draws them as I-JEPA does.

    Unlike I-JEPA, which cuts every context of a batch to the smallest of them, each is cut to the given V: a mask
    must not depend on what else is in the batch. V patches at random stay, or with `raster` the first ones, which
    loses the bottom rows, as the released code does. Where a context has fewer than V, the image's blocks are all
    drawn again; after 32 draws the last one's targets move onto its first target, one by one, until there are
    enough.
    Unlike its released code, whose blocks never touch the last row and column, they may; `edges=False` forbids it.
    Every frame of a clip has the same blocks.

    Args:
        index: int64 [B], the dataset index of each image, below 2^40. The masks come back on its device.
        grid: N patches as (frames, rows, columns), (rows, columns) or one number.
        visible: V, how many patches the context keeps, the same number in every frame, at most the context less
            one target.
        target, context: rows and columns of a target and of the context.
        blocks: S, how many targets, 1 to 64.
        edges: whether blocks may touch the last row and column.
        raster: whether the context is cut in raster order.
        seed, step, view: name the draw; below 2^63, 2^48 and 2^8.
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
        *multi_block_mask(index, sizes, visible, blocks, target, context, edges, raster, seed, step, view)
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
    """Rows and columns of a block that all images of a step share (I-JEPA, Assran et al. 2023).

    area = floor(N s) with s ~ U(share), and aspect r ~ U(aspect); round(sqrt(area r)) rows, round(sqrt(area / r))
    columns, at most the grid's. I-JEPA's targets have share (0.15, 0.2), aspect (0.75, 1.5); its context (0.85, 1)
    and aspect 1.

    Args:
        grid: (frames, rows, columns) or (rows, columns).
        share, aspect: their least and greatest values.
        which: number of the block, to draw sizes for several.
        together: whether one random number drives s and r, as in the released code; otherwise they are independent.
        edges: False keeps the block a row and a column smaller than the grid, as `multi_block` then asks for.
        seed, step, view: name the draw.
    Raises:
        ValueError: a range is out of bounds.
    """
    rows, columns = _core.block.size(
        seed, step, view, extent("block_size", grid), share, aspect, which, together, edges
    )
    return rows, columns
