"""A method's own prediction of another view as the target: what methods predict whose result is the clustering."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from pymim.contracts import Asked, Encoder, Target
from pymim.measures import usage

if TYPE_CHECKING:
    from jaxtyping import Float


class Predicted(Target):
    """The scores [B S K] that an objective's predictor makes of the view that is looked at.

    Args:
        clusters: K, the width that is predicted.
        of: the objective whose predictor it is, by name; by default this one's own.
        graph: whether both sides learn, as the pictures of a pair do (SCAN, Van Gansbeke et al. 2020).
    """

    reads = "prediction"

    def __init__(self, encoder: Encoder, clusters: int, of: str = "", graph: bool = True):
        super().__init__()
        self.width, self.of, self.graph = clusters, of, graph

    def forward(self, asked: Asked) -> Float[Tensor, "B S K"]:
        assert asked.predict is not None, "it reads predictions"
        return asked.predict(self.of)

    def gauges(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        """How the clusters are used."""
        return usage(prediction.float().softmax(-1), self.width)
