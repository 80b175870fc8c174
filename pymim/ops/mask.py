"""MaskIds sampling: choose which patches of each image are hidden.

A mask is data: a pure function of (seed, step, dataset index, view), with the same bits on CPU and
CUDA, for any batch split, order and thread count. B images, N patches in the grid, V visible,
M = N - V hidden.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pymim import _core
from pymim.ops.arrays import accepts_numpy, stream
from pymim.ops.block import (
    Ragged,
    Targets,
    block,
    block_size,
    inverse_block,
    multi_block,
    ragged_block,
)
from pymim.ops.derived import expand, subset
from pymim.ops.grid import Grid, MaskIds, Triple, check_count, check_patches, empty, extent
from pymim.ops.guided import priority, ranked, weighted
from pymim.ops.register import op

__all__ = [
    "MaskIds",
    "Ragged",
    "Targets",
    "block",
    "block_size",
    "budget",
    "disjoint",
    "expand",
    "filtered",
    "inverse_block",
    "multi_block",
    "priority",
    "ragged_block",
    "ranked",
    "subset",
    "uniform",
    "weighted",
]


def _empty_on_grid(
    index: Tensor, grid: Sequence[int], unit: Sequence[int], visible: int, *draw: int
) -> Triple:
    return empty(index, math.prod(grid), visible)


def _empty_in_views(index: Tensor, patches: int, visible: int, views: int, *rest: int) -> Triple:
    b = index.shape[0]
    return (
        index.new_empty(views, b, visible),
        index.new_empty(views, b, patches - visible),
        index.new_empty(views, b, patches, dtype=torch.bool),
    )


@op("uniform_mask", _empty_on_grid)
def uniform_mask(
    index: Tensor,
    grid: Sequence[int],
    unit: Sequence[int],
    visible: int,
    seed: int,
    step: int,
    view: int,
) -> tuple[Tensor, Tensor, Tensor]:
    out = _empty_on_grid(index, grid, unit, visible)
    _core.mask.uniform(index, seed, step, view, grid, unit, *out, stream(index))
    return out


@accepts_numpy
def uniform(
    index: Tensor,
    grid: Grid,
    visible: int,
    *,
    unit: Grid = 1,
    seed: int = 0,
    step: int = 0,
    view: int = 0,
) -> MaskIds:
    """Hide units of patches uniformly, without replacement (MAE, He et al. 2022).

    A unit of one patch is MAE's mask; in a clip it ignores space and time (mae_st, Feichtenhofer et
    al. 2022). (frames, 1, 1) hides tubes (VideoMAE, Tong et al. 2022), (t, h, w) cubes, and (h, w)
    the coarse cells of SimMIM (Xie et al. 2022) or of a ConvNet's last stride (SparK, Tian et al.
    2023).

    Args:
        index: int64 [B], the dataset index of each image, below 2^40. Masks are on its device.
        grid: N patches as (frames, rows, columns), (rows, columns) or one number.
        visible: V, the number of visible patches, 0 <= V <= N, a whole number of units.
        unit: size of a unit, in the form of `grid`, and a divisor of it.
        seed, step, view: identify the draw; below 2^63, 2^48 and 2^8.
    Returns:
        MaskIds.
    Raises:
        ValueError: a count or size is out of range; TypeError: `index` is not int64.
    Cost: O(B N), no scratch.
    Example:
        >>> mask = uniform(torch.arange(2), grid=(2, 3), visible=2, seed=1)
        >>> mask.visible
        tensor([[2, 4],
                [1, 3]])
    """
    sizes = extent("uniform", grid)
    check_count("uniform", "visible", visible, math.prod(sizes), "patches")
    return MaskIds(
        *uniform_mask(index, sizes, extent("uniform", unit, "unit"), visible, seed, step, view)
    )


@op(
    "filtered_mask",
    lambda index, bank, rows, columns, visible, *draw: empty(index, rows * columns, visible),
)
def filtered_mask(
    index: Tensor,
    bank: Tensor,
    rows: int,
    columns: int,
    visible: int,
    seed: int,
    step: int,
    view: int,
) -> tuple[Tensor, Tensor, Tensor]:
    out = empty(index, rows * columns, visible)
    _core.mask.filtered(index, seed, step, view, bank, rows, columns, *out, stream(index))
    return out


@accepts_numpy
def filtered(
    index: Tensor,
    bank: Tensor,
    grid: tuple[int, int],
    visible: int,
    *,
    seed: int = 0,
    step: int = 0,
    view: int = 0,
) -> MaskIds:
    """Show the strongest patches of filtered noise (ColorMAE, Hinojosa et al. 2024).

    Each image takes a random pattern of the bank and a random crop of it, of the size of the grid,
    and flips each axis with probability 1/2. The V largest values are visible; ties go to the lower
    ids. For clips, expand tubes.

    Args:
        index: int64 [B], the dataset index of each image, below 2^40.
        bank: float32 [P H W], no smaller than the grid: see pymim.masks.noise.patterns. It must be
            finite, which is not checked as a bank is large: NaN ranks beyond the infinity of its
            sign.
        grid: (rows, columns).
        visible: V, 0 <= V <= N.
        seed, step, view: identify the draw; below 2^63, 2^48 and 2^8.
    Returns:
        MaskIds.
    Raises:
        ValueError: a count or size is out of range; TypeError: a wrong dtype.
    Cost: O(B N), no scratch.
    """
    rows, columns = grid
    check_patches("filtered", "grid", rows * columns)
    check_count("filtered", "visible", visible, rows * columns, "patches")
    return MaskIds(*filtered_mask(index, bank, rows, columns, visible, seed, step, view))


@op("disjoint_masks", _empty_in_views)
def disjoint_masks(
    index: Tensor,
    patches: int,
    visible: int,
    views: int,
    covered: int,
    seed: int,
    step: int,
    view: int,
) -> tuple[Tensor, Tensor, Tensor]:
    out = _empty_in_views(index, patches, visible, views)
    _core.mask.disjoint(index, seed, step, view, covered, *out, stream(index))
    return out


@accepts_numpy
def disjoint(
    index: Tensor,
    patches: int,
    visible: int,
    *,
    views: int = 2,
    covered: int | None = None,
    seed: int = 0,
    step: int = 0,
    view: int = 0,
) -> tuple[MaskIds, ...]:
    """Draw several masks of one image that overlap as little as possible (DMJD, Ma et al. 2022).

    Together the masks hide exactly `covered` patches; each alone is uniform. A random ring of
    `covered` patches is hidden in evenly spaced arcs of M. Two masks share 2 M - covered patches.

    Args:
        index: int64 [B], the dataset index of each image, below 2^40.
        patches: N. On a grid of units, draw units, then expand.
        visible: V of each mask.
        views: W, the number of masks of each image.
        covered: from M to min(N, W M), the default.
        seed, step, view: identify the draw; below 2^63, 2^48 and 2^8.
    Returns:
        W Masks.
    Raises:
        ValueError: a count is out of range; TypeError: `index` is not int64.
    Cost: O(W B N), no scratch.
    """
    check_patches("disjoint", "patches", patches)
    check_count("disjoint", "visible", visible, patches, "patches")
    if views < 1:
        raise ValueError(f"disjoint: views: expected 1 or more, got {views}; ask for one or more")
    most = min(patches, views * (patches - visible))
    stacked = disjoint_masks(
        index, patches, visible, views, most if covered is None else covered, seed, step, view
    )
    return tuple(MaskIds(*parts) for parts in zip(*stacked, strict=True))


@op("budget_mask", lambda index, sizes, alpha, visible, *draw: empty(index, sum(sizes), visible))
def budget_mask(
    index: Tensor,
    sizes: Sequence[int],
    alpha: Sequence[float],
    visible: int,
    seed: int,
    step: int,
    view: int,
) -> tuple[Tensor, Tensor, Tensor]:
    out = empty(index, sum(sizes), visible)
    _core.mask.budget(index, seed, step, view, sizes, alpha, *out, stream(index))
    return out


@accepts_numpy
def budget(
    index: Tensor,
    grids: Sequence[Grid],
    visible: int,
    *,
    alpha: float | Sequence[float] = 1.0,
    seed: int = 0,
    step: int = 0,
    view: int = 0,
) -> MaskIds:
    """Divide one count of visible patches among several grids (MultiMAE, Bachmann et al. 2022).

    Each image draws its own shares from Dirichlet(alpha), rounded by largest remainder to exactly
    V; what does not fit into a grid goes to the others. Inside a grid the visible patches are
    uniform.

    Args:
        index: int64 [B], the dataset index of each image, below 2^40.
        grids: the grid of each modality, at most 16. Their patches are numbered in one row, so N is
            their sum.
        visible: V over all grids, 0 <= V <= N.
        alpha: 1e-3 to 1e6, one for all grids or one each; 1 makes all divisions equally likely.
        seed, step, view: identify the draw; below 2^63, 2^48 and 2^8.
    Returns:
        MaskIds.
    Raises:
        ValueError: a count or number is out of range; TypeError: `index` is not int64.
    Cost: O(B N), no scratch.
    """
    sizes = [math.prod(extent("budget", grid, "grids")) for grid in grids]
    check_patches("budget", "grids", sum(sizes))
    check_count("budget", "visible", visible, sum(sizes), "patches")
    alphas = [float(alpha)] * len(sizes) if isinstance(alpha, (int, float)) else list(alpha)
    return MaskIds(*budget_mask(index, sizes, alphas, visible, seed, step, view))
