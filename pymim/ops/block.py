"""Masks made of rectangles: blocks that hide, one block that stays visible, target blocks with a context.

They are also found in pymim.ops.mask, and keep its promise: a mask is a pure function of (seed, step, dataset
index, view), the same bits on CPU and CUDA, for any batch split, order and thread count. B images, N patches in
the grid, V visible, M = N - V hidden, S targets of K patches. Areas are in patches of one frame, and aspect is
height / width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pymim import _core
from pymim.ops.arrays import accepts_numpy, stream
from pymim.ops.grid import Grid, Mask, Triple, check_count, empty, extent
from pymim.ops.register import op

Range = tuple[float, float]


class Ragged(NamedTuple):
    """Masks whose counts differ from image to image."""

    boolean: Tensor  # bool [B N], True = hidden
    hidden: Tensor  # int64 [B], how many


class Targets(NamedTuple):
    """A Mask whose visible patches are the context, and the blocks to predict from it. Ids ascend."""

    visible: Tensor  # int64 [B V]
    hidden: Tensor  # int64 [B M]
    boolean: Tensor  # bool [B N], True = hidden
    targets: Tensor  # int64 [B S K]; blocks may overlap


def _board(index: Tensor, frames: int, rows: int, columns: int) -> Tensor:
    return index.new_empty((index.shape[0], frames * rows * -(-columns // 64)), dtype=torch.uint64)


def _empty_block(index: Tensor, grid: Sequence[int], hidden: int, *law: object) -> Triple:
    patches = math.prod(grid)
    return empty(index, patches, patches - hidden)


@op(fake=_empty_block)
def block_mask(
    index: Tensor,
    grid: Sequence[int],
    hidden: int,
    area: Sequence[float],
    aspect: Sequence[float],
    duration: Sequence[int],
    tries: int,
    seed: int,
    step: int,
    view: int,
) -> tuple[Tensor, Tensor, Tensor]:
    out = _empty_block(index, grid, hidden)
    board = _board(index, *grid)
    _core.block.exact(index, seed, step, view, grid, area, aspect, duration, tries, board, *out, stream(index))
    return out


def _empty_ragged(index: Tensor, grid: Sequence[int], *law: object) -> tuple[Tensor, Tensor]:
    return index.new_empty((index.shape[0], math.prod(grid)), dtype=torch.bool), index.new_empty(index.shape[0])


@op(fake=_empty_ragged)
def ragged_block_mask(
    index: Tensor,
    grid: Sequence[int],
    hidden: int,
    area: Sequence[float],
    aspect: Sequence[float],
    duration: Sequence[int],
    tries: int,
    seed: int,
    step: int,
    view: int,
) -> tuple[Tensor, Tensor]:
    out = _empty_ragged(index, grid)
    board = _board(index, *grid)
    _core.block.ragged(
        index, seed, step, view, grid, area, aspect, duration, tries, hidden, board, *out, stream(index)
    )
    return out


def _empty_inverse(index: Tensor, grid: Sequence[int], visible: int, *law: object) -> Triple:
    return empty(index, math.prod(grid), visible)


@op(fake=_empty_inverse)
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
    board = _board(index, 1, grid[1], grid[2])
    _core.block.inverse(index, seed, step, view, grid, aspect, roll, board, *out, stream(index))
    return out


def _empty_multi(
    index: Tensor, grid: Sequence[int], visible: int, blocks: int, target: Sequence[int], *law: object
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    targets = index.new_empty((index.shape[0], blocks, grid[0] * math.prod(target)))
    return (*empty(index, math.prod(grid), visible), targets)


@op(fake=_empty_multi)
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
    board = _board(index, 1, grid[1], grid[2])
    _core.block.multi(index, seed, step, view, grid, target, context, edges, raster, board, *out, stream(index))
    return out


def _law(
    function: str, grid: Grid, hidden: int, area: tuple[float, float | None], duration: tuple[int, int] | None
) -> tuple[tuple[int, int, int], Range, tuple[int, int]]:
    sizes = extent(grid)
    check_count(function, "hidden", hidden, math.prod(sizes), "patches")
    return sizes, (area[0], area[1] or 0), duration or (1, sizes[0])


@accepts_numpy
def block(
    index: Tensor,
    grid: Grid,
    hidden: int,
    *,
    area: tuple[float, float | None] = (16, None),
    aspect: Range = (0.3, 1 / 0.3),
    duration: tuple[int, int] | None = None,
    tries: int = 200,
    seed: int = 0,
    step: int = 0,
    view: int = 0,
) -> Mask:
    """Hides exactly `hidden` patches by one block after another (BEiT, Bao et al. 2022; CAE, Chen et al. 2024).

    A block has area a ~ U(area) and aspect r, log r ~ U(log aspect); it has round(sqrt(a r)) rows and
    round(sqrt(a / r)) columns and lies anywhere in the grid. On a clip it lasts a number of frames ~ U(duration)
    (MaskFeat, Wei et al. 2022). It counts if it hides something new, and not more than is still to be hidden.

    Unlike CAE, which searches until a block fits, this ends after `tries` blocks in a row that do not: the last of
    them that was too large then hides only its first patches in raster order, or the grid does if there was none.
    With the defaults and 75 of 14 x 14 patches that happens to about one image in ten thousand.

    Args:
        index: int64 [B], the dataset index of each image, below 2^40. The masks come back on its device.
        grid: N patches as (frames, rows, columns), (rows, columns) or one number.
        hidden: M, how many patches are hidden, 0 <= M <= N.
        area: least and greatest area of a block; greatest None: whatever is still to be hidden.
        aspect: least and greatest height / width.
        duration: fewest and most frames of a block; None: 1 to all.
        tries: how many blocks in a row may fail to fit.
        seed, step, view: name the draw; below 2^63, 2^48 and 2^8.
    Returns:
        Mask.
    Raises:
        ValueError: a count or size is out of range; TypeError: `index` is not int64.
    Cost: O(B (N + blocks x rows)) time, N bits of scratch an image.
    """
    sizes, areas, frames = _law("block", grid, hidden, area, duration)
    return Mask(*block_mask(index, sizes, hidden, areas, aspect, frames, tries, seed, step, view))


@accepts_numpy
def ragged_block(
    index: Tensor,
    grid: Grid,
    hidden: int,
    *,
    area: tuple[float, float | None] = (16, None),
    aspect: Range = (0.3, 1 / 0.3),
    duration: tuple[int, int] | None = None,
    tries: int = 10,
    seed: int = 0,
    step: int = 0,
    view: int = 0,
) -> Ragged:
    """Hides at most `hidden` patches by one block after another (BEiT, Bao et al. 2022).

    As `block`, but it stops where `tries` blocks in a row do not fit, so that the counts differ from image to
    image: of 14 x 14 patches it hides the 75 of BEiT in about two images of three, and 74.5 on average.

    Args and cost: as `block`.
    Returns:
        Ragged.
    Raises:
        ValueError: a count or size is out of range; TypeError: `index` is not int64.
    """
    sizes, areas, frames = _law("ragged_block", grid, hidden, area, duration)
    return Ragged(*ragged_block_mask(index, sizes, hidden, areas, aspect, frames, tries, seed, step, view))


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
    sizes = extent(grid)
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
    loses the bottom rows, as the released code does. Where a context has fewer than V, image and all are drawn
    again; after 32 draws the last one's targets move onto its first target, one by one, until there are enough.
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
    sizes = extent(grid)
    check_count("multi_block", "visible", visible, math.prod(sizes), "patches")
    check_count("multi_block", "blocks", blocks, 64, "the most there may be")
    return Targets(
        *multi_block_mask(index, sizes, visible, blocks, target, context, edges, raster, seed, step, view)
    )


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
    rows, columns = _core.block.size(seed, step, view, extent(grid), share, aspect, which, together, edges)
    return rows, columns
