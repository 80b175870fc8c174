"""Derive from a mask: a subset of its ids to predict, or the same mask on a finer grid."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pymim import _core
from pymim.ops.arrays import accepts_numpy, stream
from pymim.ops.grid import Grid, MaskIds, check_count, empty, extent
from pymim.ops.register import op


@op("subset_ids", lambda index, ids, count, *draw: ids.new_empty(index.shape[0], count))
def subset_ids(index: Tensor, ids: Tensor, count: int, seed: int, step: int, view: int) -> Tensor:
    out = ids.new_empty(index.shape[0], count)
    _core.mask.subset(index, seed, step, view, ids, out, stream(index))
    return out


@accepts_numpy
def subset(
    index: Tensor, ids: Tensor, count: int, *, seed: int = 0, step: int = 0, view: int = 0
) -> Tensor:
    """Draw a uniform subset of each row, such as the hidden patches to predict.

    (CAPI, Darcet et al. 2025.)

    Args:
        index: int64 [B], the dataset index of each image, below 2^40.
        ids: int64 [B M], such as `MaskIds.hidden`.
        count: K, the ids to take from each row, 0 <= K <= M.
        seed, step, view: identify the draw; below 2^63, 2^48 and 2^8. Its random numbers are not
            those of a mask with the same names.
    Returns:
        int64 [B K], in the order of `ids`.
    Raises:
        ValueError: a count or shape is wrong; TypeError: a wrong dtype.
    Cost: O(B M), no scratch.
    Example:
        >>> subset(torch.arange(1), torch.tensor([[2, 5, 7]]), count=2)
        tensor([[5, 7]])
    """
    check_count("subset", "count", count, ids.shape[-1], "ids")
    return subset_ids(index, ids, count, seed, step, view)


@op(
    "expand_mask",
    lambda boolean, grid, unit, visible: empty(
        boolean.new_empty(len(boolean), dtype=torch.int64), math.prod(grid), visible
    ),
)
def expand_mask(
    boolean: Tensor, grid: Sequence[int], unit: Sequence[int], visible: int
) -> tuple[Tensor, Tensor, Tensor]:
    out = empty(boolean.new_empty(len(boolean), dtype=torch.int64), math.prod(grid), visible)
    _core.mask.expand(boolean, grid, unit, *out, stream(boolean))
    return out


@accepts_numpy
def expand(boolean: Tensor, grid: Grid, visible: int, *, unit: Grid) -> MaskIds:
    """Expand a mask of a coarse grid to a fine one; each cell becomes a unit of patches.

    So any policy can hide tubes, cubes or the cells of a ConvNet's last stride: draw on the coarse
    grid, then expand. The mask of a stage is that of the next one, expanded.

    Args:
        boolean: bool [B U] of a MaskIds; every row with the same number of hidden cells.
        grid: the fine grid, of N patches.
        visible: V on the fine grid: visible cells times the size of a unit.
        unit: size of a cell in patches; divides `grid`.
    Returns:
        MaskIds.
    Raises:
        ValueError: sizes or counts do not fit. On a GPU, rows that hide too few or too many are not
            detected; they are cut off at the end of the outputs. TypeError: `boolean` is not bool.
    Cost: O(B N), no scratch.
    Example:
        >>> cells = torch.tensor([[True, False]])
        >>> expand(cells, grid=(2, 4), visible=4, unit=(2, 2)).visible
        tensor([[2, 3, 6, 7]])
    """
    sizes = extent("expand", grid)
    check_count("expand", "visible", visible, math.prod(sizes), "patches")
    return MaskIds(*expand_mask(boolean, sizes, extent("expand", unit, "unit"), visible))
