"""A method's own prediction of another view as the target: of clusters that are learned, of pictures told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from pymim.contracts import Asked, Encoder, Target

if TYPE_CHECKING:
    from jaxtyping import Float


class Predicted(Target):
    """What an objective's predictor makes of the view that is looked at, [B S T].

    Args:
        width: T.
        of: the objective whose predictor it is, by name; by default this one's own.
        graph: whether both sides learn, as two views of a picture do (SimCLR, Chen et al. 2020).
    """

    reads = "prediction"

    def __init__(self, encoder: Encoder, width: int, of: str = "", graph: bool = True):
        super().__init__()
        self.width, self.of, self.graph = width, of, graph

    def forward(self, asked: Asked) -> Float[Tensor, "B S T"]:
        assert asked.predict is not None, "it reads predictions"
        return asked.predict(self.of)
