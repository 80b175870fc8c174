"""A learned map of another target (SIGMA, Salehi et al. 2024)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from torch import Tensor, nn

from pymim.checks import whole
from pymim.contracts import Asked, Encoder, Follows, Made, Target
from pymim.layers.init import init_weights

if TYPE_CHECKING:
    from jaxtyping import Float


class Mapped(Target):
    """Map the values of target `of` by an MLP with GELUs and no norm [B M T].

    The mapped values keep their graph: the objective's loss trains the MLP. A loss that a constant
    minimises, as any distance is, then collapses: target and prediction agree on a constant.
    `losses.Swapped` prevents that. Unlike SIGMA's released code, pymim does not refuse such a loss:
    it is an experiment, and gauges show the collapse.

    Args:
        encoder: the method's encoder.
        of: constructor of the target that is mapped.
        widths: widths of the MLP's layers; the last is T.
    """

    def __init__(
        self,
        encoder: Encoder,
        of: Callable[[Encoder], nn.Module],
        widths: Sequence[int] = (1024, 1024, 512, 256),
    ):
        super().__init__()
        whole(self, 1, widths=widths)
        self.of, self.width = of(encoder), widths[-1]
        self.reads = getattr(self.of, "reads", "pixels")
        sizes: list[int] = [self.of.width, *widths]  # type: ignore[list-item]
        layers = [layer for i, o in pairwise(sizes) for layer in (nn.Linear(i, o), nn.GELU())]
        self.layers = nn.Sequential(*layers[:-1])
        init_weights(self.layers)

    def forward(self, asked: Asked) -> Float[Tensor, "B M T"] | Made:
        made = self.of(asked)
        if isinstance(made, Made):
            return made._replace(values=self.layers(made.values.detach()))
        out: Tensor = self.layers(made.detach())
        return out

    def follow(self, predictor: nn.Module) -> None:
        if isinstance(self.of, Follows):
            self.of.follow(predictor)
