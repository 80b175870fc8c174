"""Mask sampling: which patches of each image are hidden.

A mask is data: a pure function of (seed, step, dataset index, view), the same bits on CPU and CUDA, for any
batch split, order and thread count. B images, N patches in the grid, V visible, M = N - V hidden.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from pymim import _core
from pymim.ops.arrays import accepts_numpy, stream
from pymim.ops.block import Ragged, Targets, block, block_size, inverse_block, multi_block, ragged_block  # noqa: F401
from pymim.ops.grid import Grid, Mask, Triple, check_count, empty, extent
from pymim.ops.register import op


def _empty_on_grid(index: Tensor, grid: Sequence[int], unit: Sequence[int], visible: int, *draw: int) -> Triple:
    return empty(index, math.prod(grid), visible)


@op(fake=_empty_on_grid)
def uniform_mask(
    index: Tensor, grid: Sequence[int], unit: Sequence[int], visible: int, seed: int, step: int, view: int
) -> tuple[Tensor, Tensor, Tensor]:
    out = _empty_on_grid(index, grid, unit, visible)
    _core.mask.uniform(index, seed, step, view, grid, unit, *out, stream(index))
    return out


@accepts_numpy
def uniform(
    index: Tensor, grid: Grid, visible: int, *, unit: Grid = 1, seed: int = 0, step: int = 0, view: int = 0
) -> Mask:
    """Hides units of patches uniformly, without replacement (MAE, He et al. 2022).

    A unit of one patch is MAE's mask, and space-time agnostic on a clip (mae_st, Feichtenhofer et al. 2022);
    (frames, 1, 1) hides tubes (VideoMAE, Tong et al. 2022), (t, h, w) cubes, and (h, w) the coarse cells of
    SimMIM (Xie et al. 2022) or of a ConvNet's last stride (SparK, Tian et al. 2023).

    Args:
        index: int64 [B], the dataset index of each image, below 2^40. The masks come back on its device.
        grid: N patches as (frames, rows, columns), (rows, columns) or one number.
        visible: V, how many patches stay visible, 0 <= V <= N, a whole number of units.
        unit: the size of a unit, in the same form as `grid`, which it divides.
        seed, step, view: name the draw; below 2^63, 2^48 and 2^8.
    Returns:
        Mask.
    Raises:
        ValueError: a count or size is out of range; TypeError: `index` is not int64.
    Cost: O(B N), no scratch.
    """
    sizes = extent(grid)
    check_count("uniform", "visible", visible, math.prod(sizes), "patches")
    return Mask(*uniform_mask(index, sizes, extent(unit), visible, seed, step, view))
