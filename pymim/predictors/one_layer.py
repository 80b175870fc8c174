"""One linear map: of each token (SimMIM, Xie et al. 2022), or of the pooled vector."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from pymim.contracts import Encoder, Features, Grid, Mask
from pymim.layers.init import init_weights
from pymim.predictors.places import asked_tokens

if TYPE_CHECKING:
    from jaxtyping import Float


class OneLayer(nn.Module):
    """Give W x + b of the encoder's own tokens [B M T].

    The encoder must have a token for each predicted patch: it keeps hidden ones (ViT.hidden =
    "token"), no patch is hidden (no mask), or the objective is on visible patches.

    Args:
        encoder: the method's encoder.
        width: width T of the target.

    Raises:
        ValueError: when called, a predicted patch has no token.
    """

    reads = "tokens"

    def __init__(self, encoder: Encoder, width: int):
        super().__init__()
        self.head = nn.Linear(encoder.width, width)
        init_weights(self)

    def forward(self, features: Features, mask: Mask | None, grid: Grid) -> Float[Tensor, "B M T"]:
        out: Tensor = self.head(asked_tokens(features, mask, grid))
        return out

    def predict_all(
        self, features: Features, mask: Mask | None, grid: Grid
    ) -> Float[Tensor, "B N T"]:
        """Predict every patch in raster order, for pictures."""
        return self.forward(features, None, grid)


class Pooled(nn.Module):
    """Give W x + b of the pooled vector, as the one "patch" of an objective on the pooled image [B
    1 T].

    Args:
        encoder: the method's encoder.
        width: width T of the target.
    """

    reads = "pooled"

    def __init__(self, encoder: Encoder, width: int):
        super().__init__()
        self.head = nn.Linear(encoder.embedding, width)
        init_weights(self)

    def forward(self, features: Features, mask: Mask | None, grid: Grid) -> Float[Tensor, "B 1 T"]:
        out: Tensor = self.head(features.pooled[:, None])
        return out
