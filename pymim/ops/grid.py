"""The masks that mask ops return, and the grids that they are drawn on."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

Grid = int | Sequence[int]


class MaskIds(NamedTuple):
    """The result of every mask op. Ids ascend; counts are equal over the batch."""

    visible: Tensor  # int64 [B V]
    hidden: Tensor  # int64 [B M]
    boolean: Tensor  # bool [B N], True = hidden


Triple = tuple[Tensor, Tensor, Tensor]


def empty(index: Tensor, patches: int, visible: int) -> Triple:
    """Allocate a MaskIds.

    Sizes are separate arguments: a tuple of them costs torch half a microsecond more.
    """
    b = index.shape[0]
    return (
        index.new_empty(b, visible),
        index.new_empty(b, patches - visible),
        index.new_empty(b, patches, dtype=torch.bool),
    )


def extent(function: str, grid: Grid, name: str = "grid") -> tuple[int, int, int]:
    """Give frames, rows and columns of a grid, from its sizes or its number of patches.

    Raises:
        ValueError: the sizes are not 1 to 3, or too large.
    """
    sizes = (grid,) if isinstance(grid, int) else tuple(grid)
    if not 0 < len(sizes) <= 3 or min(sizes) < 0:
        raise ValueError(
            f"{function}: {name}: expected 1 to 3 sizes, got {grid}; "
            "give (frames, rows, columns) or fewer"
        )
    check_patches(function, name, math.prod(sizes))
    return (1,) * (3 - len(sizes)) + sizes  # type: ignore[return-value]


def check_patches(function: str, name: str, patches: int) -> None:
    """Refuse a grid before allocating memory for it."""
    if not patches < 2**28:
        raise ValueError(
            f"{function}: {name}: expected fewer than 2^28 patches, got {patches}; "
            "use a coarser grid"
        )


def check_count(function: str, name: str, count: int, most: int, of: str) -> None:
    if not 0 <= operator.index(count) <= most:
        raise ValueError(
            f"{function}: {name}: expected 0 to {most} ({of}), got {count}; ask for fewer"
        )
