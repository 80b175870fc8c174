"""Norms of maps, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Float


class ChannelNorm(nn.LayerNorm):
    """Normalise the channels of each cell of a map [B C h w] (ConvNeXt, Liu et al. 2022).

    Args:
        width: number of channels.
    """

    def __init__(self, width: int):
        super().__init__(width, eps=1e-6)

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


NORMS: dict[str, Callable[[int], nn.Module]] = {"batch": nn.BatchNorm2d, "layer": ChannelNorm}
