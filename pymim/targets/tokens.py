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
from pymim.errors import ConfigError
from pymim.layers.gather import gather

if TYPE_CHECKING:
    from jaxtyping import Float


NORMALISATIONS = (False, True, "unbiased")


class Tokens(Target):
    """A teacher's tokens of the whole view, after its final norm, in float32.

    Args:
        teacher: constructor, called with the encoder: `encoders.Momentum` of it, or `encoders.Frozen` from a file.
        normalise: True takes each token by its own mean and deviation, as a layer norm without weights does, with
            1e-5 under the root (data2vec, Baevski et al. 2022; I-JEPA, Assran et al. 2023); "unbiased" by the
            unbiased variance, with 1e-6 under the root (dBOT, Liu et al. 2024).
    Raises, when called, ConfigError where the teacher's grid of the view is another than the encoder's.
    """

    def __init__(self, encoder: Encoder, teacher: Callable[[Encoder], Average], normalise: bool | str = False):
        super().__init__()
        if normalise not in NORMALISATIONS:
            raise ValueError(
                f"Tokens: normalise: expected True, False or 'unbiased', got {normalise!r}; name one of them"
            )
        self.teacher, self.normalise = teacher(encoder), normalise
        seen: Encoder = self.teacher.module  # type: ignore[assignment]
        self.width, self._seen, self._grid = seen.width, seen.grid, encoder.grid

    @torch.no_grad()
    def forward(self, asked: Asked) -> Float[Tensor, "B M T"]:
        self._check(asked)
        tokens = self.teacher(asked.view).tokens.float()
        return self._normalised(tokens if asked.ids is None else gather(tokens, asked.ids))

    def _normalised(self, tokens: Tensor) -> Tensor:
        if self.normalise == "unbiased":
            variance, mean = torch.var_mean(tokens, -1, keepdim=True)
            return (tokens - mean) / (variance + 1e-6).sqrt()
        return F.layer_norm(tokens, tokens.shape[-1:]) if self.normalise else tokens

    def _check(self, asked: Asked) -> None:
        shape = asked.view.shape
        got, wanted = self._seen(shape), asked.grid or self._grid(shape)
        if got != wanted:
            raise ConfigError(
                f"Tokens: teacher: expected a grid of {wanted} patches, as the encoder has, got {got} of a view of "
                f"{tuple(shape[2:])} pixels; give the teacher another patch, or a view of another size"
            )
