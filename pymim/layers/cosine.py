"""A linear map of directions: what CAPI's student reads its clusters off by (Darcet et al. 2025)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from pymim.layers.linear import linear

if TYPE_CHECKING:
    from jaxtyping import Float


class CosineLinear(nn.Module):
    """gain_k <x / |x|, w_k / |w_k|>: weight normalisation (Salimans & Kingma 2016) with gains that start at 1."""

    def __init__(self, dim: int, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width, dim))
        self.gain = nn.Parameter(torch.ones(width, 1))  # two axes, so that it is decayed, as released
        nn.init.trunc_normal_(self.weight, std=0.02)

    def forward(self, x: Float[Tensor, "*L D"]) -> Float[Tensor, "*L K"]:
        rows = normalize(self.weight, dim=-1) * self.gain
        return linear(normalize(x.float(), dim=-1), rows, None)
