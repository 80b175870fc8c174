"""One linear map, per token (SimMIM, Xie et al. 2022) or of the pooled vector."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import Tensor, nn

from pymim.contracts import Encoder, Features, Grid, Mask
from pymim.layers.gather import gather
from pymim.layers.init import init_weights

if TYPE_CHECKING:
    from jaxtyping import Float


class Linear(nn.Module):
    """W x + b of the encoder's own tokens.

    The encoder must have a token for each patch asked for: it keeps hidden ones (ViT.hidden = "token"), it sees
    every patch (no mask), or the objective is on visible ones.
    """

    reads = "tokens"

    def __init__(self, encoder: Encoder, width: int):
        super().__init__()
        self.head = nn.Linear(encoder.width, width)
        init_weights(self)

    def forward(self, features: Features, mask: Mask | None, grid: Grid) -> Float[Tensor, "B M T"]:
        out: Tensor = self.head(asked_tokens(features.tokens, mask, grid))
        return out

    def everywhere(self, features: Features, mask: Mask | None, grid: Grid) -> Float[Tensor, "B N T"]:
        """Predictions for every patch, for pictures."""
        return self.forward(features, None, grid)


class Pooled(nn.Module):
    """W x + b of the pooled vector, as the one "patch" of an objective that is on the pooled image: [B 1 T]."""

    reads = "pooled"

    def __init__(self, encoder: Encoder, width: int):
        super().__init__()
        self.head = nn.Linear(encoder.embedding, width)
        init_weights(self)

    def forward(self, features: Features, mask: Mask | None, grid: Grid) -> Float[Tensor, "B 1 T"]:
        out: Tensor = self.head(features.pooled[:, None])
        return out


def asked_tokens(tokens: Float[Tensor, "B V D"], mask: Mask | None, grid: Grid) -> Float[Tensor, "B M D"]:
    """The encoder's tokens for `mask.predicted`, or all of them."""
    if mask is None or mask.predicted is mask.visible:
        return tokens
    if tokens.shape[1] != math.prod(grid):
        raise ValueError(
            "Linear: features: expected a token for every patch, got the visible ones alone; "
            "set ViT.hidden = 'token', or predict with a Transformer"
        )
    return gather(tokens, mask.predicted)
