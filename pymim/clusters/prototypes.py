"""Prototypes: learned directions, one per cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from pymim.checks import whole

if TYPE_CHECKING:
    from jaxtyping import Float


class Prototypes(nn.Module):
    """Give the cosines of tokens with K learned unit vectors, float32 (SwAV, Caron et al. 2020).

    The released codes of SwAV and SIGMA normalise the vectors in place at the start of each forward
    pass. Here it is done after each optimiser step. So every forward pass sees the same vectors,
    with or without weight decay, and no weight changes between a forward pass and its backward
    pass.

    Args:
        width: width D of tokens.
        clusters: number K of clusters.
    """

    def __init__(self, width: int, clusters: int):
        super().__init__()
        whole(self, 1, width=width, clusters=clusters)
        self.weight = nn.Parameter(normalize(torch.randn(clusters, width), dim=1))

    def forward(self, tokens: Float[Tensor, "*B D"], detach: bool = False) -> Float[Tensor, "*B K"]:
        """Give the cosines; with `detach`, prototypes get no gradient."""
        weight = self.weight.detach() if detach else self.weight
        return (normalize(tokens.float(), dim=-1) @ weight.T).float()

    @torch.no_grad()
    def after_step(self, encoder: nn.Module, step: int) -> None:
        """Set prototypes to unit length."""
        self.weight.copy_(normalize(self.weight, dim=1))
