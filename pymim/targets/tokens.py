"""The tokens that a momentum encoder or a frozen one makes of the whole view (MaskFeat, Wei et al. 2022; HPM's
feature targets, Wang et al. 2025)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from pymim.contracts import Asked, Encoder, Target
from pymim.encoders.average import Average
from pymim.layers.gather import gather

if TYPE_CHECKING:
    from jaxtyping import Float


class Tokens(Target):
    """A teacher's tokens of the whole view, after its final norm, in float32.

    Args:
        teacher: constructor, called with the encoder: `encoders.Momentum` of it, or `encoders.Frozen` from a file.
        normalise: each token by its own mean and deviation, without weights (data2vec, Baevski et al. 2022).
    """

    def __init__(self, encoder: Encoder, teacher: Callable[[Encoder], Average], normalise: bool = False):
        super().__init__()
        self.teacher, self.normalise = teacher(encoder), normalise
        seen: Encoder = self.teacher.module  # type: ignore[assignment]
        if seen.base != encoder.base:
            raise ValueError(
                f"Tokens: teacher: expected a grid of {encoder.base} patches, as the encoder has, got {seen.base}; "
                "give both the same patch and image"
            )
        self.width = seen.width

    @torch.no_grad()
    def forward(self, asked: Asked) -> Float[Tensor, "B M T"]:
        tokens = self.teacher(asked.view).tokens.float()
        if asked.ids is not None:
            tokens = gather(tokens, asked.ids)
        return F.layer_norm(tokens, tokens.shape[-1:]) if self.normalise else tokens
