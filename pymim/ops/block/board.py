"""The scratch that rectangles are drawn on."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pymim import _core


def empty_board(index: Tensor, grid: Sequence[int]) -> Tensor:
    """Scratch: a bit a patch, as the core lays them out."""
    return index.new_empty(index.shape[0], _core.block.board_words(grid), dtype=torch.uint64)
