"""Losses that train a ranker's scores to predict per-patch losses (HPM, Wang et al. 2023)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pymim.checks import finite
from pymim.ops import rank

if TYPE_CHECKING:
    from jaxtyping import Float


class Relative:
    """Compare the order: each pair of patches of an image with different losses is a binary choice.

    A pair's loss is -log sigmoid(+-(s_j - s_i)) [B M]. The mean over patches is the mean over the
    batch's pairs. Equal losses give 0.

    Unlike the released code, the logarithm has no 1e-6, which caps a pair at 13.8 and stops the
    gradient of pairs that are badly wrong; `epsilon` adds it. Nor is there 0 / 0 if all losses are
    equal.

    Args:
        epsilon: added inside the logarithm.
    """

    def __init__(self, epsilon: float = 0.0):
        finite(self, 0, epsilon=epsilon)
        self.epsilon = epsilon

    def __call__(
        self, scores: Float[Tensor, "B M"], losses: Float[Tensor, "B M"]
    ) -> Float[Tensor, "B M"]:
        found = rank.relative_sums(scores, losses, epsilon=self.epsilon)
        return found.sums * (found.pairs.numel() / found.pairs.sum().clamp_min(1))


class Absolute:
    """Compare the values: squared distance to the losses, standardised over the patches of an image
    [B M].
    """

    def __call__(
        self, scores: Float[Tensor, "B M"], losses: Float[Tensor, "B M"]
    ) -> Float[Tensor, "B M"]:
        variance, mean = torch.var_mean(losses, 1, keepdim=True)
        return (scores - (losses - mean) / (variance + 1e-6).sqrt()).square()
