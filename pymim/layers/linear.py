"""Linear maps that say how many maps they stack, and the mean of a map's outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Float


class Linear(nn.Linear):
    """Apply torch's linear map; `maps` says how the matrix is initialised (`layers.init`)."""

    maps: int = 1  # maps of equal height stacked in the matrix, such as q, k and v


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
