"""Several linear maps in one product, and the mean of a map's outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Float


class JointLinear(nn.Linear):
    """Apply `maps` linear maps of one width in one product, such as queries, keys and values.

    It is torch's linear map; the number matters for initial weights alone (`layers.init`).
    """

    def __init__(self, dim: int, width: int, bias: bool = True, maps: int = 2):
        super().__init__(dim, width, bias)
        self.maps = maps


class LinearMean(nn.Linear):
    """Give the mean of a linear map's outputs, at the cost of one output; float32 under autocast
    too.
    """

    @classmethod
    def of(cls, map: nn.Linear) -> LinearMean:
        """Make one with that map's parameters."""
        made = cls(map.in_features, map.out_features, bias=map.bias is not None, device="meta")
        made.weight, made.bias = map.weight, map.bias
        return made

    def forward(self, input: Float[Tensor, "*L D"]) -> Float[Tensor, "*L 1"]:
        # No matrix product: autocast would round it.
        out = (input.float() * self.weight.mean(0)).sum(-1, keepdim=True)
        return out if self.bias is None else out + self.bias.mean()
