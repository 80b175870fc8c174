"""From the core's masks to those that policies give."""

from __future__ import annotations

from torch import Tensor

from pymim.contracts import Draw, Grid, Mask, Policy
from pymim.errors import ConfigError
from pymim.ops import grid as ops


def hide(mask: ops.Mask) -> Mask:
    """Give the op's mask, with every hidden patch predicted."""
    return Mask(mask.visible, mask.hidden, mask.hidden)


def one_mask(policy: Policy, index: Tensor, grid: Grid, draw: Draw, difficulty: Tensor | None, by: str) -> Mask:
    """Give the mask of a policy that another one, `by`, wraps.

    Raises ConfigError where it draws several, or none, or predicts anything but what it hides.
    """
    mask, kind = policy(index, grid, draw, difficulty), type(policy).__name__
    if not isinstance(mask, Mask):
        raise ConfigError(
            f"{by}: policy: expected one mask from {kind}, got {type(mask).__name__}; wrap another policy"
        )
    if not mask.predicts_all_hidden or mask.weight is not None or mask.extra is not None:
        raise ConfigError(
            f"{by}: policy: expected one that predicts what it hides, got {kind}; wrap another policy"
        )
    return mask
