"""Learned directions that stand for clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from pymim.checks import whole

if TYPE_CHECKING:
    from jaxtyping import Float


class Prototypes(nn.Module):
    """K unit vectors; called with tokens it gives their cosines with each, float32 (SwAV, Caron et al. 2020).

    The released codes of SwAV and SIGMA set the norms to 1 in place at the start of each forward pass; here that
    is done after each step of the optimiser, which gives every forward pass the same vectors, weight decay or not,
    and changes no weight between a forward pass and its backward pass.
    """

    def __init__(self, width: int, clusters: int):
        super().__init__()
        whole(self, 1, width=width, clusters=clusters)
        self.weight = nn.Parameter(normalize(torch.randn(clusters, width), dim=1))

    def forward(self, tokens: Float[Tensor, "*B D"], detach: bool = False) -> Float[Tensor, "*B K"]:
        """With `detach` the prototypes learn nothing from what comes of it."""
        weight = self.weight.detach() if detach else self.weight
        return (normalize(tokens.float(), dim=-1) @ weight.T).float()

    @torch.no_grad()
    def after_step(self, encoder: nn.Module, step: int) -> None:
        """Back to unit length."""
        self.weight.copy_(normalize(self.weight, dim=1))
