"""The tokens of a momentum encoder or a frozen one for the whole view, as the target.

(MaskFeat, Wei et al. 2022; HPM's feature targets, Wang et al. 2025.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from pymim.contracts import Asked, Encoder, Target
from pymim.encoders.copy import Copy
from pymim.errors import ConfigError
from pymim.layers.gather import gather

if TYPE_CHECKING:
    from jaxtyping import Float


NORMALISATIONS = (False, True, "unbiased")


class Tokens(Target):
    """Give a teacher's tokens of the view, after its final norm, in float32 [B M T].

    Args:
        encoder: the method's encoder.
        teacher: constructor, called with the encoder: `encoders.Momentum`, or `encoders.Frozen`
            from a file.
        sees: "whole", the whole view; or "predicted", the predicted patches and no others, whose
            tokens then know nothing of the visible ones (CAE, Chen et al. 2024). The teacher must
            drop hidden patches.
        normalise: False; True, standardise each token over its channels, as a layer norm without
            weights, with 1e-5 under the root (data2vec, Baevski et al. 2022; I-JEPA, Assran et al.
            2023); or "unbiased", with the unbiased variance and 1e-6 (dBOT, Liu et al. 2024).

    Raises:
        ValueError: a choice is unknown, or a dense teacher sees a part; when called, ConfigError if
            teacher and encoder have different grids.
    """

    def __init__(
        self,
        encoder: Encoder,
        teacher: Callable[[Encoder], Copy],
        normalise: bool | str = False,
        sees: str = "whole",
    ):
        super().__init__()
        if normalise not in NORMALISATIONS:
            raise ValueError(
                f"Tokens: normalise: expected True, False or 'unbiased', got {normalise!r}; "
                "name one of them"
            )
        if sees not in ("whole", "predicted"):
            raise ValueError(
                f"Tokens: sees: expected 'whole' or 'predicted', got {sees!r}; name one of them"
            )
        self.teacher, self.normalise = teacher(encoder), normalise
        self.sees = sees
        seen: Encoder = self.teacher.module  # type: ignore[assignment]
        if sees == "predicted" and seen.hidden != "drop":
            raise ValueError(
                f"Tokens: sees: expected 'whole', as {type(seen).__name__}.hidden is "
                f"{seen.hidden!r}, got 'predicted', for which a teacher drops the "
                "others; change either"
            )
        self.width, self._seen = seen.width, seen.grid
        self._grid = encoder.grid

    @torch.no_grad()
    def forward(self, asked: Asked) -> Float[Tensor, "B M T"]:
        self._check(asked)
        if self.sees == "predicted" and asked.mask is not None:
            mask = asked.mask._replace(visible=asked.mask.predicted, hidden=asked.mask.visible)
            return self._normalised(self.teacher(asked.view, mask).tokens.float())
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
                f"Tokens: teacher: expected a grid of {wanted} patches, as the encoder has, got "
                f"{got} from a view of {tuple(shape[2:])} pixels; change the teacher's patch, or "
                "the size of its view"
            )
