"""From the core's masks to those that policies give."""

from __future__ import annotations

from torch import Tensor

from pymim.contracts import Draw, Grid, Mask, Policy
from pymim.ops import grid as ops


def hide(mask: ops.Mask) -> Mask:
    """Give the op's mask, with every hidden patch predicted."""
    return Mask(mask.visible, mask.hidden, mask.hidden)


def one_mask(policy: Policy, index: Tensor, grid: Grid, draw: Draw, difficulty: Tensor | None) -> Mask:
    """Give the mask of a policy that another one wraps. Raises ValueError where it draws several, or none."""
    mask = policy(index, grid, draw, difficulty)
    if not isinstance(mask, Mask):
        kind = type(policy).__name__
        raise ValueError(
            f"masks: policy: expected one mask from {kind}, got {type(mask).__name__}; wrap another policy"
        )
    return mask
