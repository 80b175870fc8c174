"""Scratch memory that rectangles are drawn on."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pymim import _core


def empty_board(index: Tensor, grid: Sequence[int]) -> Tensor:
    """Allocate scratch of one bit per patch, in the core's layout."""
    return index.new_empty(index.shape[0], _core.block.board_words(grid), dtype=torch.uint64)
