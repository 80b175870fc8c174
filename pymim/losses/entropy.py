"""Cross-entropy with classes, or with shares of classes, one number per patch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pymim.checks import positive

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class CrossEntropy:
    """Give -sum_k target_k log softmax(prediction / temperature)_k [B M].

    A target is shares [B M K] or class ids [B M]. An id below 0 is no class: its loss is 0, without
    gradient. Unlike torch's `ignore_index`, a later mean counts it.

    Args:
        temperature: divides the prediction.
    """

    def __init__(self, temperature: float = 1.0):
        positive(self, temperature=temperature)
        self.temperature = temperature

    def __call__(
        self,
        prediction: Float[Tensor, "B M K"],
        target: Float[Tensor, "B M K"] | Int[Tensor, "B M"],
    ) -> Float[Tensor, "B M"]:
        logs = (prediction.float() / self.temperature).log_softmax(-1)
        if target.dim() == 2:
            losses = -logs.gather(2, target[..., None].clamp_min(0))[..., 0]
            return torch.where(target >= 0, losses, 0.0)
        return -(target.float() * logs).sum(-1)
