"""Turn the core's masks into `Mask`, and check policies that another policy wraps."""

from __future__ import annotations

from torch import Tensor

from pymim.contracts import Draw, Grid, Mask, Policy
from pymim.errors import ConfigError
from pymim.ops import grid as ops


def predict_hidden(mask: ops.MaskIds) -> Mask:
    """Turn the op's mask into a `Mask` that predicts every hidden patch."""
    return Mask(mask.visible, mask.hidden, mask.hidden)


def one_mask(
    policy: Policy, index: Tensor, grid: Grid, draw: Draw, difficulty: Tensor | None, by: str
) -> Mask:
    """Give the mask of a policy that the policy `by` wraps.

    Raises:
        ConfigError: the policy draws several masks, or none, or does not predict exactly what it
            hides.
    """
    mask, kind = policy(index, grid, draw, difficulty), type(policy).__name__
    if not isinstance(mask, Mask):
        raise ConfigError(
            f"{by}: policy: expected one mask from {kind}, got {type(mask).__name__}; choose "
            "another policy"
        )
    if not mask.predicts_all_hidden or mask.weight is not None or mask.extra is not None:
        raise ConfigError(
            f"{by}: policy: expected one that predicts all hidden patches and nothing else, got "
            f"{kind}; choose another policy"
        )
    return mask
