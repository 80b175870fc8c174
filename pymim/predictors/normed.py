"""A norm before a predictor, for tokens at a tap, which have no norm yet (LocalMIM, Wang et al.
2023).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Tensor, nn

from pymim.contracts import Encoder, Features, Grid, Made, Mask, Predictor
from pymim.layers.block import make_norm

if TYPE_CHECKING:
    from jaxtyping import Float


class Normed(Predictor):
    """Give p(norm(x)): the encoder's tokens through a norm, then a predictor p.

    Args:
        encoder: the method's encoder.
        width: width T of the target.
        of: constructor of p, called with the encoder and the width.
        norm: "layer" or "rms".
    """

    def __init__(
        self, encoder: Encoder, width: int, of: Callable[..., nn.Module], norm: str = "layer"
    ):
        super().__init__()
        self.norm = make_norm(norm, encoder.width)
        self.of: Predictor = of(encoder, width)  # type: ignore[assignment]
        self.reads = self.of.reads

    def forward(
        self, features: Features, mask: Mask | None, grid: Grid
    ) -> Float[Tensor, "B M T"] | Made:
        made: Tensor | Made = self.of(self._normed(features), mask, grid)
        return made

    def predict_all(self, features: Features, mask: Mask, grid: Grid) -> Float[Tensor, "B N T"]:
        """Predict every patch in raster order, if p can."""
        values: Tensor = self.of.predict_all(self._normed(features), mask, grid)  # type: ignore[operator]
        return values

    def _normed(self, features: Features) -> Features:
        return features._replace(
            tokens=self.norm(features.tokens), prefix=self.norm(features.prefix)
        )
