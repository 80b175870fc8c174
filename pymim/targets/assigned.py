"""Cluster assignments of the encoder's own output for one view, as the target for other views."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pymim.checks import whole
from pymim.clusters.queue import Queue
from pymim.clusters.transport import Transport
from pymim.contracts import Asked, Batch, Encoder, Features, Output, Source, Tally, Target
from pymim.measures import usage

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Assigned(Target):
    """Give cluster assignments, by transport over the batch of the predictor's own scores of a view
    (SwAV, Caron et al. 2020).

    Assignments are constants: clusters learn only by being predicted from the other views.

        objective: source = (0, 1, ...), to = (0, 1)

    Then view s predicts the shares of every view t but its own.

    Args:
        encoder: the method's encoder.
        clusters: K, the predictor's number of classes (`predictors.Heads`, with unit rows).
        transport: turns scores into shares; "batch" balances all images together, "position" each
            set of clusters, or each place of the grid, by itself.
        hard: give the cluster with the largest share, int64 [B M], in place of the shares [B M K].
        queue: constructor, called with the width of the pooled vector: a `clusters.Queue` of
            earlier vectors. The present clusters score them, and transport balances them with the
            batch.

    Raises:
        ValueError: the predictor has several sets of clusters but the transport is by batch; a
            queue without one predictor of the pooled vector; when called: a transport by position
            of masked patches.
    """

    reads = "prediction"

    def __init__(
        self,
        encoder: Encoder,
        clusters: int = 3000,
        transport: Transport | None = None,
        hard: bool = False,
        queue: Callable[..., Queue] | None = None,
    ):
        super().__init__()
        whole(self, 2, clusters=clusters)
        self.width, self.transport = clusters, transport or Transport()
        self.hard = hard
        self.queue = None if queue is None else queue(encoder.embedding)
        self._predictor: list[nn.Module] = []  # in a list: it is the objective's module

    @property
    def chance(self) -> float:
        """Give the loss of a prediction that knows nothing."""
        return math.log(self.width)

    def follow(self, predictor: nn.Module) -> None:
        """Take the predictor whose scores are assigned.

        Raises:
            ValueError: the transport or the queue does not fit it.
        """
        self._predictor = self._predictor or [predictor]
        sets, reads = getattr(predictor, "sets", 1), getattr(predictor, "reads", "")
        if sets > 1 and self.transport.by == "batch":
            raise ValueError(
                f"Assigned: transport: expected by = 'position', as there are {sets} sets of "
                "clusters, got 'batch'; set clusters.Transport.by = 'position'"
            )
        if self.queue is not None and (reads != "pooled" or predictor is not self._predictor[0]):
            raise ValueError(
                "Assigned: queue: expected one predictor, of the pooled vector, got "
                f"{type(predictor).__name__}; leave out the queue, or use predictors.Heads"
            )

    @torch.no_grad()
    def forward(self, asked: Asked) -> Float[Tensor, "B M K"] | Int[Tensor, "B M"]:
        assert asked.predict is not None, "it reads a prediction"
        scores = asked.predict().float()
        earlier = None if self.queue is None else self._scored(self.queue.own_rows(asked.number))
        if asked.mask is not None and self.transport.by == "position":
            raise ValueError(
                "Assigned: transport: expected by = 'batch', as each image has other patches to "
                "predict, got 'position'; change it, or set the objective's on = 'pooled'"
            )
        return self.transport.assign(scores, asked.step, earlier, self.hard)

    @torch.no_grad()
    def after_forward(self, batch: Batch, output: Output) -> None:
        """Push the pooled vectors of the views into the queue."""
        if self.queue is None:
            return
        for view in self.queue.views:
            branch = output.branches.get(Source(view))  # None if no objective was active
            if branch is not None and branch.draw.step >= self.queue.start:
                self.queue.push(view, branch.features.pooled)

    def gauges(self, prediction: Tensor, target: Tensor) -> dict[str, Tally]:
        """Give how the clusters are used."""
        return usage(target, self.width)

    def _scored(self, rows: Float[Tensor, "n E"]) -> Float[Tensor, "n S K"] | None:
        if not len(rows):
            return None
        features = Features(rows[:, None], rows[:, None, :0], {}, rows)
        scores: Tensor = self._predictor[0](features, None, ())
        return scores.float()
