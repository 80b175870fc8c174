"""Assignments by optimal transport: each patch gets shares of clusters, each cluster an equal share
of patches.
"""

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
    """Assign tokens to clusters by Sinkhorn's algorithm, from scores = features prototypes^T.

    Called, it gives the clusters' potentials c, [N K] or [1 K]. For every token then

        shares = softmax(scores / epsilon + c)   and   label = argmax(scores / epsilon + c).

    An iteration scales the clusters first and the tokens last, so shares sum to 1. Because of that
    order, adding a number to all scores of a cluster changes nothing: a bias cancels. With a mass,
    c has one more entry, for a cluster of zero scores that takes the rest: shares omit it, and sum
    to less than 1.

    In several processes the batch is the global one, or its micro-batch. Scores of one position, or
    of a chunk of rows, are in memory at a time. `tests/reference/sinkhorn.py::scaling` is the loop
    in seven lines.

    Args:
        epsilon: strength of the entropy; larger is softer.
        iterations: how often both sides are scaled; with a tolerance, the most.
        by: what is balanced. "position": the images of the batch at each place of the grid by
            itself (CAPI, Darcet et al. 2025), so that a cluster cannot stand for a place; needs a
            token for each place. "batch": all tokens together (SwAV, Caron et al. 2020; SIGMA,
            Salehi et al. 2024).
        mass: share of all tokens that is assigned (P2OT, Zhang et al. 2024); None: all.
        column_relax: gamma of a penalty gamma KL on the cluster sizes; None: sizes are met exactly.
        columns: relative sizes of the clusters, K numbers; None: equal sizes.
        tolerance: stop once sums are this near, on average; 0: always `iterations`.
        steps: length of the run in steps. epsilon, mass and column_relax may be schedules: call
            `at(step)` first.

    Raises:
        ValueError: an argument is out of range; when called, a schedule without `at`; see also
            `ops.sinkhorn`.
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
            raise ValueError(
                f"Transport: by: expected one of {', '.join(BY)}, got {by!r}; name one of them"
            )
        self.epsilon, self.iterations = epsilon, iterations
        self.by = by
        self.mass, self.column_relax = mass, column_relax
        self.tolerance = tolerance
        self.columns = None if columns is None else torch.as_tensor(columns)
        self.steps = steps
        self.group: dist.ProcessGroup | None = None  # None: all processes

    def at(self, step: int) -> Transport:
        """Give the same transport with the numbers of one step."""
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
        """Give shares of the scores [B M K], or labels [B M].

        Args:
            scores: scores of the batch.
            step: step of the run, for schedules.
            beside: scores of other rows. They take part in the transport, and are not returned.
            hard: give labels.
        """
        now, rows = self.at(step), scores if beside is None else torch.cat([beside, scores])
        batch = self.by == "batch"
        column = (
            now.column(rows.flatten(0, 1))[None]
            if batch
            else now.column(rows.transpose(0, 1).contiguous())
        )
        return now.labels(scores, column) if hard else now.shares(scores, column)

    @torch.no_grad()
    def __call__(
        self, features: Float[Tensor, "B N D"], prototypes: Float[Tensor, "K D"]
    ) -> Float[Tensor, "N K"] | Float[Tensor, "1 K"]:
        if self.by == "batch":
            return self.column(_scores(features.flatten(0, 1), prototypes))[None]
        places = features.transpose(0, 1)
        parts = [
            self.column(places[some] @ prototypes.T) for some in chunks(features, len(prototypes))
        ]
        return torch.cat(parts)

    @torch.no_grad()
    def column(
        self, scores: Float[Tensor, "N B K"] | Float[Tensor, "R K"] | sinkhorn.Product
    ) -> Float[Tensor, "N K"] | Float[Tensor, " K"]:
        """Give the clusters' potentials: per place from [N B K], or of all tokens from [R K]."""
        like = scores.features if isinstance(scores, sinkhorn.Product) else scores
        return sinkhorn.potentials(scores, **self._options(like.device)).column

    def shares(
        self,
        scores: Float[Tensor, "B M K"],
        column: Float[Tensor, "*N K"],
        ids: Int[Tensor, "B M"] | None = None,
    ) -> Float[Tensor, "B M K"]:
        """Give soft assignments, float32, of the tokens at places `ids`; default: all places in
        order.
        """
        return self._logits(scores, column, ids).softmax(-1)[..., : scores.shape[-1]]

    def labels(
        self,
        scores: Float[Tensor, "B M K"],
        column: Float[Tensor, "*N K"],
        ids: Int[Tensor, "B M"] | None = None,
    ) -> Int[Tensor, "B M"]:
        """Give hard assignments: the cluster with the largest share."""
        return self._logits(scores, column, ids)[..., : scores.shape[-1]].argmax(-1)

    def _logits(self, scores: Tensor, column: Tensor, ids: Tensor | None) -> Tensor:
        whole = ids is None or len(column) == 1
        logits = scores.detach().float() / self._number("epsilon")
        if self.mass is not None:
            logits = pad(logits, (0, 1))  # the extra cluster of zero scores
        return logits + (column if whole else column[ids])

    def _options(self, device: torch.device) -> sinkhorn.Options:
        """Give the options of the op."""
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
            raise ValueError(
                f"Transport: {name}: expected a number, got a schedule; call at(step) first"
            )
        return float(value)


def chunks(tokens: Float[Tensor, "B N *D"], clusters: int, beside: int = 0) -> Iterator[slice]:
    """Give runs of places whose scores fit into memory together.

    Scores are those of all images and of `beside` more.
    """
    count = max(1, _most(tokens) // ((len(tokens) + beside) * clusters))
    return (slice(first, first + count) for first in range(0, tokens.shape[1], count))


def _scores(
    features: Float[Tensor, "R D"], prototypes: Float[Tensor, "K D"]
) -> Tensor | sinkhorn.Product:
    """Give the scores, or their two factors if storing all scores takes too much memory."""
    if len(features) * len(prototypes) > _most(features):
        return sinkhorn.Product(features, prototypes)
    return features @ prototypes.T


def _most(tensor: Tensor) -> int:
    """Give how many scores are stored at once: 1 GiB on a GPU, 128 MiB elsewhere, in float32."""
    return 2**28 if tensor.is_cuda else 2**25
