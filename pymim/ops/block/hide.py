"""Blocks that hide: as many as it takes, exactly or nearly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pymim import _core
from pymim.ops.arrays import accepts_numpy, stream
from pymim.ops.block.board import empty_board
from pymim.ops.grid import Grid, Mask, Triple, check_count, empty, extent
from pymim.ops.register import op


class Ragged(NamedTuple):
    """Masks whose counts differ from image to image."""

    boolean: Tensor  # bool [B N], True = hidden
    hidden: Tensor  # int64 [B], how many


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
    _core.block.exact(index, seed, step, view, grid, area, aspect, duration, tries, board, *out, stream(index))
    return out


def _empty_ragged(index: Tensor, grid: Sequence[int], *law: object) -> tuple[Tensor, Tensor]:
    return index.new_empty(index.shape[0], math.prod(grid), dtype=torch.bool), index.new_empty(index.shape[0])


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
        index, seed, step, view, grid, area, aspect, duration, tries, hidden, board, *out, stream(index)
    )
    return out


def _law(
    function: str, grid: Grid, hidden: int, area: tuple[float, float | None], duration: tuple[int, int] | None
) -> tuple[tuple[int, int, int], tuple[float, float], tuple[int, int]]:
    sizes = extent(function, grid)
    check_count(function, "hidden", hidden, math.prod(sizes), "patches")
    least, most = area
    if most == 0:  # what stands for None in the core
        raise ValueError(f"{function}: area: expected None or a greatest area above 0, got {most}; name patches")
    return sizes, (least, 0 if most is None else most), (1, sizes[0]) if duration is None else duration


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
) -> Mask:
    """Hides exactly `hidden` patches by one block after another (BEiT, Bao et al. 2022; CAE, Chen et al. 2024).

    A block has area a ~ U(area) and aspect r, log r ~ U(log aspect); it has round(sqrt(a r)) rows and
    round(sqrt(a / r)) columns, fewer of both than the grid, and lies anywhere in it. (Along an axis of one cell a
    block has that one.) On a clip it lasts a number of frames ~ U(duration)
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
    aspect: tuple[float, float] = (0.3, 1 / 0.3),
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
