"""Heads over clusters that change between epochs: one that is forgotten, one that takes the new centroids."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pymim.checks import finite, whole
from pymim.contracts import Encoder, Features, Grid, Mask, Run

if TYPE_CHECKING:
    from jaxtyping import Float


class Renewed(nn.Module):
    """W relu(x) + b of the pooled vector: [B 1 K]. When a table of labels is renewed so is it: W ~ N(0, std^2),
    b = 0, and what the optimiser remembers of them is dropped; the encoder's own is kept (DeepCluster, Caron et al.
    2018: clusters of two epochs bear no common names). The ReLU is the one that was taken off to cluster.
    """

    reads = "pooled"

    def __init__(self, encoder: Encoder, width: int, std: float = 0.01):
        super().__init__()
        finite(self, 0, std=std)
        self.std = std
        self.head = nn.Linear(encoder.embedding, width)
        self._forget()

    def forward(self, features: Features, mask: Mask | None, grid: Grid) -> Float[Tensor, "B 1 K"]:
        scores: Tensor = self.head(features.pooled.relu()[:, None])
        return scores

    def relabelled(self, run: Run, centroids: Tensor) -> None:
        self._forget()
        run.forget(self.head.parameters())

    def _forget(self) -> None:
        nn.init.normal_(self.head.weight, std=self.std)
        nn.init.zeros_(self.head.bias)


class Centroids(nn.Module):
    """Products of the pooled vector, of unit length, with the centroids of each of S sets of clusters: [B S K], to
    be divided by the loss's temperature. Nothing here is learned (DeepCluster-v2: Caron et al. 2020)."""

    centroids: Float[Tensor, "S K E"]
    alike = True  # in every process: see wrap
    reads = "pooled"

    def __init__(self, encoder: Encoder, width: int, sets: int = 3):
        super().__init__()
        whole(self, 1, sets=sets)
        self.register_buffer("centroids", torch.zeros(sets, width, encoder.embedding))

    def forward(self, features: Features, mask: Mask | None, grid: Grid) -> Float[Tensor, "B S K"]:
        return torch.einsum("be,ske->bsk", features.pooled, self.centroids)

    def relabelled(self, run: Run, centroids: Tensor) -> None:
        self.centroids.copy_(centroids)
