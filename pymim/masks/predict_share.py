"""Predict only some of the hidden patches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from pymim import checks
from pymim.contracts import Draw, Grid, Mask, Policy
from pymim.masks.convert import one_mask
from pymim.ops import mask as ops
from pymim.parts import part

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class PredictShare:
    """Predict a random share of the hidden patches of another policy's masks (CAPI, Darcet et al.
    2025).

    Args:
        policy: the policy that hides patches.
        share: share of the hidden patches that is predicted.
    """

    def __init__(self, policy: Policy, share: float = 0.05):
        checks.share(self, "above 0, to 1", share=share)
        self.policy, self.share = policy, share

    def __call__(
        self,
        index: Int[Tensor, " B"],
        grid: Grid,
        draw: Draw,
        difficulty: Float[Tensor, "B N"] | None = None,
    ) -> Mask:
        mask = one_mask(self.policy, index, grid, draw, difficulty, "PredictShare")
        count = part(mask.hidden.shape[1], self.share)
        return mask._replace(predicted=ops.subset(index, mask.hidden, count, **draw._asdict()))
