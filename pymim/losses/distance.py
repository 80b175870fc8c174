"""Distances between a prediction and its target, one number per patch, in float32 under autocast
too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor

from pymim.checks import positive

if TYPE_CHECKING:
    from jaxtyping import Float


class MSE:
    """Give the mean over T of (prediction - target)^2 [B M]."""

    def __call__(
        self, prediction: Float[Tensor, "B M T"], target: Float[Tensor, "B M T"]
    ) -> Float[Tensor, "B M"]:
        return F.mse_loss(prediction.float(), target.float(), reduction="none").mean(-1)


class L1:
    """Give the mean over T of |prediction - target| [B M]."""

    def __call__(
        self, prediction: Float[Tensor, "B M T"], target: Float[Tensor, "B M T"]
    ) -> Float[Tensor, "B M"]:
        return F.l1_loss(prediction.float(), target.float(), reduction="none").mean(-1)


class SmoothL1:
    """Give the mean over T of d^2 / (2 beta) where |d| < beta, and of |d| - beta / 2 elsewhere [B
    M].

    Args:
        beta: the distance at which the square becomes linear.
    """

    def __init__(self, beta: float = 1.0):
        positive(self, beta=beta)
        self.beta = beta

    def __call__(
        self, prediction: Float[Tensor, "B M T"], target: Float[Tensor, "B M T"]
    ) -> Float[Tensor, "B M"]:
        losses = F.smooth_l1_loss(
            prediction.float(), target.float(), reduction="none", beta=self.beta
        )
        return losses.mean(-1)


class CosineDistance:
    """Give 1 - cos(prediction, target) [B M]."""

    def __call__(
        self, prediction: Float[Tensor, "B M T"], target: Float[Tensor, "B M T"]
    ) -> Float[Tensor, "B M"]:
        return 1 - F.cosine_similarity(prediction.float(), target.float(), dim=-1)
