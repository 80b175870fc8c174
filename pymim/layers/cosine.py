"""A linear map of directions: the head of CAPI's student (Darcet et al. 2025)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

if TYPE_CHECKING:
    from jaxtyping import Float


class CosineLinear(nn.Module):
    """Compute gain_k <x / |x|, w_k / |w_k>: weight normalisation (Salimans & Kingma 2016).

    Args:
        dim: width of the input.
        width: number K of outputs.
        gain: initial gain of every output.
        learned: learn a gain per output.
    """

    gain: Tensor

    def __init__(self, dim: int, width: int, gain: float = 1.0, learned: bool = True):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width, dim))
        gains = torch.full((width, 1), gain)  # two axes: weight decay applies to it, as released
        if learned:
            self.gain = nn.Parameter(gains)
        else:
            self.register_buffer("gain", gains)
        nn.init.trunc_normal_(self.weight, std=0.02)

    def forward(self, x: Float[Tensor, "*L D"]) -> Float[Tensor, "*L K"]:
        rows = normalize(self.weight, dim=-1) * self.gain
        return linear(normalize(x.float(), dim=-1), rows)
