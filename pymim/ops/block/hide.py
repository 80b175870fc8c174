"""Blocks that hide patches, an exact number or at most a number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pymim import _core
from pymim.ops.arrays import accepts_numpy, stream
from pymim.ops.block.board import empty_board
from pymim.ops.grid import Grid, MaskIds, Triple, check_count, empty, extent
from pymim.ops.register import op


class Ragged(NamedTuple):
    """Masks with a different count in each image."""

    boolean: Tensor  # bool [B N], True = hidden
    hidden: Tensor  # int64 [B], number of hidden patches


def _empty_block(index: Tensor, grid: Sequence[int], hidden: int, *law: object) -> Triple:
    patches = math.prod(grid)
    return empty(index, patches, patches - hidden)


@op("block_mask", _empty_block)
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
    board = empty_board(index, grid)
    _core.block.exact(
        index, seed, step, view, grid, area, aspect, duration, tries, board, *out, stream(index)
    )
    return out


def _empty_ragged(index: Tensor, grid: Sequence[int], *law: object) -> tuple[Tensor, Tensor]:
    return index.new_empty(index.shape[0], math.prod(grid), dtype=torch.bool), index.new_empty(
        index.shape[0]
    )


@op("ragged_block_mask", _empty_ragged)
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
    board = empty_board(index, grid)
    _core.block.ragged(
        index,
        seed,
        step,
        view,
        grid,
        area,
        aspect,
        duration,
        tries,
        hidden,
        board,
        *out,
        stream(index),
    )
    return out


def _law(
    function: str,
    grid: Grid,
    hidden: int,
    area: tuple[float, float | None],
    duration: tuple[int, int] | None,
) -> tuple[tuple[int, int, int], tuple[float, float], tuple[int, int]]:
    sizes = extent(function, grid)
    check_count(function, "hidden", hidden, math.prod(sizes), "patches")
    least, most = area
    if most == 0:  # 0 means None in the core
        raise ValueError(
            f"{function}: area: expected None or a greatest area above 0, got {most}; "
            "give it in patches"
        )
    return (
        sizes,
        (least, 0 if most is None else most),
        (1, sizes[0]) if duration is None else duration,
    )


@accepts_numpy
def block(
    index: Tensor,
    grid: Grid,
    hidden: int,
    *,
    area: tuple[float, float | None] = (16, None),
    aspect: tuple[float, float] = (0.3, 1 / 0.3),
    duration: tuple[int, int] | None = None,
    tries: int = 200,
    seed: int = 0,
    step: int = 0,
    view: int = 0,
) -> MaskIds:
    """Hide exactly `hidden` patches by one block after another.

    (BEiT, Bao et al. 2022; CAE, Chen et al. 2024.) A block has area a ~ U(area) and aspect r, with
    log r ~ U(log aspect): round(sqrt(a r)) rows and round(sqrt(a / r)) columns, fewer of both than
    the grid, at a uniform place. (Along an axis of one cell a block has that cell.) In a clip it
    lasts a number of frames ~ U(duration) (MaskFeat, Wei et al. 2022). A block is used if it hides
    something new, and no more than is left to hide.

    Unlike CAE, which searches until a block fits, this stops after `tries` blocks in a row that do
    not. Then the last block that was too large hides only its first patches in raster order, or the
    grid does if there was none. With the defaults and 75 of 14 x 14 patches, that happens in about
    one image of ten thousand.

    Args:
        index: int64 [B], the dataset index of each image, below 2^40. Masks are on its device.
        grid: N patches as (frames, rows, columns), (rows, columns) or one number.
        hidden: M, the number of hidden patches, 0 <= M <= N.
        area: least and greatest area of a block; greatest None: as much as is left to hide.
        aspect: least and greatest height / width.
        duration: fewest and most frames of a block; None: 1 to all.
        tries: blocks in a row that may fail to fit.
        seed, step, view: identify the draw; below 2^63, 2^48 and 2^8.
    Returns:
        MaskIds.
    Raises:
        ValueError: a count or size is out of range; TypeError: `index` is not int64.
    Cost: O(B (N + blocks x rows)) time, N bits of scratch an image.
    Example:
        >>> mask = block(torch.arange(1), grid=(4, 4), hidden=6, area=(2, 4))
        >>> mask.hidden.shape, mask.visible.shape
        (torch.Size([1, 6]), torch.Size([1, 10]))
    """
    sizes, areas, frames = _law("block", grid, hidden, area, duration)
    return MaskIds(
        *block_mask(index, sizes, hidden, areas, aspect, frames, tries, seed, step, view)
    )


@accepts_numpy
def ragged_block(
    index: Tensor,
    grid: Grid,
    hidden: int,
    *,
    area: tuple[float, float | None] = (16, None),
    aspect: tuple[float, float] = (0.3, 1 / 0.3),
    duration: tuple[int, int] | None = None,
    tries: int = 10,
    seed: int = 0,
    step: int = 0,
    view: int = 0,
) -> Ragged:
    """Hide at most `hidden` patches by one block after another (BEiT, Bao et al. 2022).

    Works as `block`, but stops after `tries` blocks in a row that do not fit, so counts differ
    between images. Of 14 x 14 patches it hides BEiT's 75 in about two images of three, and 74.5 on
    average.

    Args and cost: as `block`.
    Returns:
        Ragged.
    Raises:
        ValueError: a count or size is out of range; TypeError: `index` is not int64.
    """
    sizes, areas, frames = _law("ragged_block", grid, hidden, area, duration)
    return Ragged(
        *ragged_block_mask(index, sizes, hidden, areas, aspect, frames, tries, seed, step, view)
    )
