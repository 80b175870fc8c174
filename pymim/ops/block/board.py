"""The scratch that rectangles are drawn on."""

from __future__ import annotations

import torch
from torch import Tensor


def empty_board(index: Tensor, frames: int, rows: int, columns: int) -> Tensor:
    """Scratch: a bit a patch, each row of the grid in words of its own."""
    return index.new_empty((index.shape[0], frames * rows * -(-columns // 64)), dtype=torch.uint64)
