"""How well scores tell the losses they are for: one number per patch (HPM, Wang et al. 2023)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pymim.checks import finite
from pymim.ops import rank

if TYPE_CHECKING:
    from jaxtyping import Float


class Relative:
    """Only their order: each pair of patches of an image whose losses differ is a choice between the two,
    -log sigmoid(+-(s_j - s_i)). Mean over the patches is mean over the pairs of the batch; equal losses give 0.

    Unlike the released code, there is no 1e-6 inside the logarithm, which caps a pair at 13.8 and stops the
    gradient of pairs that are badly wrong; `epsilon` puts it back. Nor is there 0 / 0 where all losses are
    equal.
    """

    def __init__(self, epsilon: float = 0.0):
        finite(self, 0, epsilon=epsilon)
        self.epsilon = epsilon

    def __call__(self, scores: Float[Tensor, "B M"], losses: Float[Tensor, "B M"]) -> Float[Tensor, "B M"]:
        found = rank.relative_sums(scores, losses, epsilon=self.epsilon)
        return found.sums * (found.pairs.numel() / found.pairs.sum().clamp_min(1))


class Absolute:
    """Their values: the squared distance to the losses, standardised over the patches of an image."""

    def __call__(self, scores: Float[Tensor, "B M"], losses: Float[Tensor, "B M"]) -> Float[Tensor, "B M"]:
        variance, mean = torch.var_mean(losses, 1, keepdim=True)
        return (scores - (losses - mean) / (variance + 1e-6).sqrt()).square()
