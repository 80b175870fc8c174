"""Masks made of rectangles: hidden blocks, one visible block, and target blocks with a context.

pymim.ops.mask exports them too, and they keep its promise: a mask is a pure function of (seed,
step, dataset index, view), with the same bits on CPU and CUDA, for any batch split, order and
thread count. B images, N patches in the grid, V visible, M = N - V hidden, S targets of K patches.
Areas are in patches of one frame, and aspect is height / width.
"""

from pymim.ops.block.hide import Ragged, block, ragged_block
from pymim.ops.block.show import Targets, block_size, inverse_block, multi_block

__all__ = [
    "Ragged",
    "Targets",
    "block",
    "block_size",
    "inverse_block",
    "multi_block",
    "ragged_block",
]
