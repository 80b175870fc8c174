"""Assignments by optimal transport: each patch gets shares of clusters, each cluster an equal share of patches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor

from pymim.ops import sinkhorn
from pymim.world import all_ranks

if TYPE_CHECKING:
    from jaxtyping import Float, Int

BY = ("position", "batch")


class Transport:
    """Sinkhorn's assignments of tokens to clusters, from scores = features prototypes^T.

    Called, it gives the clusters' potentials c, [N K] or [1 K]; then of every token

        shares = softmax(scores / epsilon + c)   and   label = argmax(scores / epsilon + c).

    An iteration scales the clusters first and the tokens last, so shares sum to 1. Because of that order a number
    added to all scores of a cluster changes nothing: a bias cancels.

    Args:
        epsilon: strength of the entropy: the larger, the softer.
        iterations: how often both sides are scaled.
        by: who is balanced. "position": the images of the batch, at each place of the grid for itself (CAPI, Darcet
            et al. 2025), so that a cluster cannot stand for a place; there must be a token for each place.
            "batch": all tokens together (SwAV, Caron et al. 2020; SIGMA, Salehi et al. 2024).

    Of several processes the batch is the global one, or its micro-batch. Scores of one position, or of a chunk of
    rows, are in memory at a time.
    """

    def __init__(self, epsilon: float = 0.05, iterations: int = 3, by: str = "batch"):
        if by not in BY:
            raise ValueError(f"Transport: by: expected one of {', '.join(BY)}, got {by!r}; name one of them")
        self.epsilon, self.iterations, self.by = epsilon, iterations, by
        self.group: dist.ProcessGroup | None = None  # of all processes, unless set

    @torch.no_grad()
    def __call__(
        self, features: Float[Tensor, "B N D"], prototypes: Float[Tensor, "K D"]
    ) -> Float[Tensor, "N K"] | Float[Tensor, "1 K"]:
        if self.by == "batch":
            return self.column(_scores(features.flatten(0, 1), prototypes))[None]
        places = features.transpose(0, 1)
        parts = [self.column(places[some] @ prototypes.T) for some in chunks(features, len(prototypes))]
        return torch.cat(parts)

    @torch.no_grad()
    def column(
        self, scores: Float[Tensor, "N B K"] | Float[Tensor, "R K"] | sinkhorn.Product
    ) -> Float[Tensor, "N K"] | Float[Tensor, " K"]:
        """The clusters' potentials by scores, of each place for itself or of all tokens together."""
        group = self.group or all_ranks()
        found = sinkhorn.potentials(scores, epsilon=self.epsilon, iterations=self.iterations, group=group)
        return found.column

    def shares(
        self, scores: Float[Tensor, "B M K"], column: Float[Tensor, "*N K"], ids: Int[Tensor, "B M"] | None = None
    ) -> Float[Tensor, "B M K"]:
        """Soft assignments, float32, of the tokens at places `ids`, by default all."""
        return self._logits(scores, column, ids).softmax(-1)

    def labels(
        self, scores: Float[Tensor, "B M K"], column: Float[Tensor, "*N K"], ids: Int[Tensor, "B M"] | None = None
    ) -> Int[Tensor, "B M"]:
        """Hard assignments: the cluster with the largest share."""
        return self._logits(scores, column, ids).argmax(-1)

    def _logits(self, scores: Tensor, column: Tensor, ids: Tensor | None) -> Tensor:
        whole = ids is None or len(column) == 1
        return scores.detach().float() / self.epsilon + (column if whole else column[ids])


def chunks(tokens: Float[Tensor, "B N *D"], clusters: int) -> Iterator[slice]:
    """Runs of places whose scores of all images fit into memory together."""
    count = max(1, _most(tokens) // (len(tokens) * clusters))
    return (slice(first, first + count) for first in range(0, tokens.shape[1], count))


def _scores(features: Float[Tensor, "R D"], prototypes: Float[Tensor, "K D"]) -> Tensor | sinkhorn.Product:
    """The scores, or the two factors where they are too many to be stored."""
    if len(features) * len(prototypes) > _most(features):
        return sinkhorn.Product(features, prototypes)
    return features @ prototypes.T


def _most(tensor: Tensor) -> int:
    """How many scores are stored at once: 1 GiB on a GPU, 128 MiB elsewhere, in float32."""
    return 2**28 if tensor.is_cuda else 2**25
