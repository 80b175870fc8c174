"""A method's own prediction of another view as the target: for clusters that are learned, and for
contrast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from pymim.contracts import Asked, Encoder, Target

if TYPE_CHECKING:
    from jaxtyping import Float


class Predicted(Target):
    """Give what an objective's predictor predicts for the target view [B S T].

    Args:
        encoder: the method's encoder.
        width: width T of the prediction.
        of: name of the objective whose predictor is used; default: its own.
        graph: keep the graph, so that both sides learn, as with two views of a picture (SimCLR,
            Chen et al. 2020).
    """

    reads = "prediction"

    def __init__(self, encoder: Encoder, width: int, of: str = "", graph: bool = True):
        super().__init__()
        self.width, self.of = width, of
        self.graph = graph

    def forward(self, asked: Asked) -> Float[Tensor, "B S T"]:
        assert asked.predict is not None, "it reads predictions"
        return asked.predict(self.of)
