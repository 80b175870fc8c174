"""Assignments by optimal transport: each patch gets shares of clusters, each cluster an equal share of patches."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.functional import pad

from pymim.checks import finite, given, positive, share, whole
from pymim.ops import sinkhorn
from pymim.schedule import Schedule, at
from pymim.world import all_ranks

if TYPE_CHECKING:
    from jaxtyping import Float, Int

BY = ("position", "batch")
SCHEDULED = ("epsilon", "mass", "column_relax")


class Transport:
    """Sinkhorn's assignments of tokens to clusters, from scores = features prototypes^T.

    Called, it gives the clusters' potentials c, [N K] or [1 K]; then of every token

        shares = softmax(scores / epsilon + c)   and   label = argmax(scores / epsilon + c).

    An iteration scales the clusters first and the tokens last, so shares sum to 1. Because of that order a number
    added to all scores of a cluster changes nothing: a bias cancels. With a mass, c has one more entry, of a
    cluster of zero scores that takes the rest: shares leave it out, and sum to less than 1.

    Args:
        epsilon: strength of the entropy: the larger, the softer.
        iterations: how often both sides are scaled; the most, where there is a tolerance.
        by: who is balanced. "position": the images of the batch, at each place of the grid for itself (CAPI, Darcet
            et al. 2025), so that a cluster cannot stand for a place; there must be a token for each place.
            "batch": all tokens together (SwAV, Caron et al. 2020; SIGMA, Salehi et al. 2024).
        mass: the share of all tokens that is assigned (P2OT, Zhang et al. 2024); None: all.
        column_relax: gamma, where cluster sizes are only asked for, by gamma KL; None: they are met.
        columns: relative sizes of the clusters, K numbers; None: equal ones.
        tolerance: stop once the sums are met as nearly as this, in the mean; 0: a fixed number of iterations.
        steps: of the run. epsilon, mass and column_relax may be schedules over them: ask `at(step)` first.

    Of several processes the batch is the global one, or its micro-batch. Scores of one position, or of a chunk of
    rows, are in memory at a time.

    Raises ValueError: `by` is neither, or a schedule was not asked for a step; see also `ops.sinkhorn`.
    """

    over_batch = "transport is balanced over {}"

    def __init__(
        self,
        epsilon: float | Schedule = 0.05,
        iterations: int = 3,
        by: str = "batch",
        mass: float | Schedule | None = None,
        column_relax: float | Schedule | None = None,
        columns: Sequence[float] | Tensor | None = None,
        tolerance: float = 0.0,
        steps: int = 0,
    ):
        positive(self, epsilon=epsilon, **given(column_relax=column_relax))
        share(self, "above 0, to 1", **given(mass=mass))
        finite(self, 0, tolerance=tolerance)
        whole(self, 1, iterations=iterations)
        if by not in BY:
            raise ValueError(f"Transport: by: expected one of {', '.join(BY)}, got {by!r}; name one of them")
        self.epsilon, self.iterations, self.by = epsilon, iterations, by
        self.mass, self.column_relax, self.tolerance = mass, column_relax, tolerance
        self.columns = None if columns is None else torch.as_tensor(columns)
        self.steps = steps
        self.group: dist.ProcessGroup | None = None  # of all processes, unless set

    def at(self, step: int) -> Transport:
        """Give the same transport with the numbers of a step."""
        found = copy.copy(self)
        for name in SCHEDULED:
            value = getattr(self, name)
            setattr(found, name, None if value is None else at(value, step, self.steps))
        return found

    @torch.no_grad()
    def assign(
        self,
        scores: Float[Tensor, "B M K"],
        step: int = 0,
        beside: Float[Tensor, "n M K"] | None = None,
        hard: bool = False,
    ) -> Float[Tensor, "B M K"] | Int[Tensor, "B M"]:
        """Give shares by the scores themselves, or labels; rows `beside` take their part, and are not given."""
        now, rows = self.at(step), scores if beside is None else torch.cat([beside, scores])
        batch = self.by == "batch"
        column = now.column(rows.flatten(0, 1))[None] if batch else now.column(rows.transpose(0, 1).contiguous())
        return now.labels(scores, column) if hard else now.shares(scores, column)

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
        """Give the clusters' potentials by scores, of each place for itself or of all tokens together."""
        like = scores.features if isinstance(scores, sinkhorn.Product) else scores
        return sinkhorn.potentials(scores, **self._options(like.device)).column

    def shares(
        self, scores: Float[Tensor, "B M K"], column: Float[Tensor, "*N K"], ids: Int[Tensor, "B M"] | None = None
    ) -> Float[Tensor, "B M K"]:
        """Give soft assignments, float32, of the tokens at places `ids`, by default all."""
        return self._logits(scores, column, ids).softmax(-1)[..., : scores.shape[-1]]

    def labels(
        self, scores: Float[Tensor, "B M K"], column: Float[Tensor, "*N K"], ids: Int[Tensor, "B M"] | None = None
    ) -> Int[Tensor, "B M"]:
        """Give hard assignments: the cluster with the largest share."""
        return self._logits(scores, column, ids)[..., : scores.shape[-1]].argmax(-1)

    def _logits(self, scores: Tensor, column: Tensor, ids: Tensor | None) -> Tensor:
        whole = ids is None or len(column) == 1
        logits = scores.detach().float() / self._number("epsilon")
        if self.mass is not None:
            logits = pad(logits, (0, 1))  # the cluster of zero scores
        return logits + (column if whole else column[ids])

    def _options(self, device: torch.device) -> sinkhorn.Options:
        """Give what the op is told."""
        options: sinkhorn.Options = {
            "epsilon": self._number("epsilon"),
            "iterations": self.iterations,
            "tolerance": self.tolerance,
            "mass": None if self.mass is None else self._number("mass"),
            "column_relax": None if self.column_relax is None else self._number("column_relax"),
            "columns": None if self.columns is None else self.columns.to(device),
            "group": self.group or all_ranks(),
        }
        return options

    def _number(self, name: str) -> float:
        value = getattr(self, name)
        if callable(value):
            raise ValueError(f"Transport: {name}: expected a number here, got a schedule; ask at(step) first")
        return float(value)


def chunks(tokens: Float[Tensor, "B N *D"], clusters: int, beside: int = 0) -> Iterator[slice]:
    """Runs of places whose scores of all images, and of so many more `beside`, fit into memory together."""
    count = max(1, _most(tokens) // ((len(tokens) + beside) * clusters))
    return (slice(first, first + count) for first in range(0, tokens.shape[1], count))


def _scores(features: Float[Tensor, "R D"], prototypes: Float[Tensor, "K D"]) -> Tensor | sinkhorn.Product:
    """The scores, or the two factors where they are too many to be stored."""
    if len(features) * len(prototypes) > _most(features):
        return sinkhorn.Product(features, prototypes)
    return features @ prototypes.T


def _most(tensor: Tensor) -> int:
    """How many scores are stored at once: 1 GiB on a GPU, 128 MiB elsewhere, in float32."""
    return 2**28 if tensor.is_cuda else 2**25
