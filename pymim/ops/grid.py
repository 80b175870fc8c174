"""What the mask policies have in common: the masks they return, and the grids they are drawn on."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

Grid = int | Sequence[int]


class Mask(NamedTuple):
    """What every policy returns. Ids ascend; counts are equal over the batch."""

    visible: Tensor  # int64 [B V]
    hidden: Tensor  # int64 [B M]
    boolean: Tensor  # bool [B N], True = hidden


Triple = tuple[Tensor, Tensor, Tensor]


def empty(index: Tensor, patches: int, visible: int) -> Triple:
    """Room for a Mask. Sizes one by one: a tuple of them takes torch half a microsecond more."""
    b = index.shape[0]
    return (
        index.new_empty(b, visible),
        index.new_empty(b, patches - visible),
        index.new_empty(b, patches, dtype=torch.bool),
    )


def extent(function: str, grid: Grid, name: str = "grid") -> tuple[int, int, int]:
    """Frames, rows and columns of a grid given by its sizes, or by its number of patches."""
    sizes = (grid,) if isinstance(grid, int) else tuple(grid)
    if not 0 < len(sizes) <= 3 or min(sizes) < 0:
        raise ValueError(
            f"{function}: {name}: expected 1 to 3 sizes, got {grid}; give (frames, rows, columns) or fewer"
        )
    check_patches(function, name, math.prod(sizes))
    return (1,) * (3 - len(sizes)) + sizes  # type: ignore[return-value]


def check_patches(function: str, name: str, patches: int) -> None:
    """Refuses a grid before memory for it is asked for."""
    if not patches < 2**28:
        raise ValueError(f"{function}: {name}: expected fewer than 2^28 patches, got {patches}; use a coarser grid")


def check_count(function: str, name: str, count: int, most: int, of: str) -> None:
    if not 0 <= operator.index(count) <= most:
        raise ValueError(f"{function}: {name}: expected 0 to {most} ({of}), got {count}; ask for fewer")
