"""Heads over clusters that change between epochs: `Renewed` starts again, `Centroids` takes the new
centroids.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pymim.checks import finite, whole
from pymim.contracts import Encoder, Features, Grid, Mask, Run

if TYPE_CHECKING:
    from jaxtyping import Float


class Renewed(nn.Module):
    """Give W relu(x) + b of the pooled vector [B 1 K]; start again when labels are renewed.

    Then W ~ N(0, std^2), b = 0, and the optimiser's state of both is dropped; the encoder keeps its
    own (DeepCluster, Caron et al. 2018). Clusters of two epochs have no common numbering.
    DeepCluster clusters features before the last ReLU; the ReLU is here, in the head.

    Args:
        encoder: the method's encoder.
        width: number K of classes.
        std: deviation of the initial weights.
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
    """Give products of the pooled vector, of unit length, with the centroids of S sets of clusters
    [B S K].

    The loss divides them by its temperature. Nothing here is learned (DeepCluster-v2: Caron et al.
    2020).

    Args:
        encoder: the method's encoder.
        width: number K of classes.
        sets: number S of sets of clusters.
    """

    centroids: Float[Tensor, "S K E"]
    replicated_buffers = True  # equal in every process: wrap need not broadcast them
    reads = "pooled"

    def __init__(self, encoder: Encoder, width: int, sets: int = 3):
        super().__init__()
        whole(self, 1, sets=sets)
        self.register_buffer("centroids", torch.zeros(sets, width, encoder.embedding))

    def forward(self, features: Features, mask: Mask | None, grid: Grid) -> Float[Tensor, "B S K"]:
        return torch.einsum("be,ske->bsk", features.pooled, self.centroids)

    def relabelled(self, run: Run, centroids: Tensor) -> None:
        self.centroids.copy_(centroids)
