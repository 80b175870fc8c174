"""Assignments of what the encoder itself makes of a view, for its other views to predict."""

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
    """Shares of clusters, by transport over the batch of the predictor's own scores of the view looked at (SwAV,
    Caron et al. 2020). They are constants: clusters learn by being predicted from the other views alone.

        objective: source = (0, 1, ...), to = (0, 1): view s predicts the shares of every view t but its own.

    Args:
        clusters: K, of the predictor (`predictors.Heads`, of unit rows).
        transport: of the scores; "batch" balances all images together, "position" each of several sets of
            clusters, or each place of the grid, for itself.
        hard: the cluster with the largest share, int64 [B M], in place of the shares.
        queue: constructor, called with the width of the pooled vector: `clusters.Queue` of earlier vectors. They
            are scored by the present clusters, and are assigned beside the batch.
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
        self.width, self.transport, self.hard = clusters, transport or Transport(), hard
        self.queue = None if queue is None else queue(encoder.embedding)
        self._predictor: list[nn.Module] = []  # in a list: it is the objective's module

    @property
    def chance(self) -> float:
        """The loss of a prediction that knows nothing."""
        return math.log(self.width)

    def follow(self, predictor: nn.Module) -> None:
        """Meet the predictor whose scores are assigned. Raises ValueError where it does not fit."""
        self._predictor = self._predictor or [predictor]
        sets, reads = getattr(predictor, "sets", 1), getattr(predictor, "reads", "")
        if sets > 1 and self.transport.by == "batch":
            raise ValueError(
                f"Assigned: transport: expected one by position, as there are {sets} sets of clusters, got batch; "
                "set clusters.Transport.by = 'position'"
            )
        if self.queue is not None and (reads != "pooled" or predictor is not self._predictor[0]):
            raise ValueError(
                f"Assigned: queue: expected one predictor, of the pooled vector, got {type(predictor).__name__}; "
                "leave the queue out, or predict with predictors.Heads"
            )

    @torch.no_grad()
    def forward(self, asked: Asked) -> Float[Tensor, "B M K"] | Int[Tensor, "B M"]:
        assert asked.predict is not None, "it reads a prediction"
        scores = asked.predict().float()
        earlier = None if self.queue is None else self._scored(self.queue.share(asked.number))
        if asked.mask is not None and self.transport.by == "position":
            raise ValueError(
                "Assigned: transport: expected one by batch, as patches asked for are not the same in every image, "
                "got position; change it, or set on = 'pooled'"
            )
        return self.transport.assign(scores, asked.step, earlier, self.hard)

    @torch.no_grad()
    def after_forward(self, batch: Batch, output: Output) -> None:
        """Keep what the encoder made of the views in the queue."""
        if self.queue is None:
            return
        for view in self.queue.views:
            branch = output.branches.get(Source(view))  # none where no objective was active
            if branch is not None and branch.draw.step >= self.queue.start:
                self.queue.push(view, branch.features.pooled)

    def gauges(self, prediction: Tensor, target: Tensor) -> dict[str, Tally]:
        """Show how the clusters are used."""
        return usage(target, self.width)

    def _scored(self, rows: Float[Tensor, "n E"]) -> Float[Tensor, "n S K"] | None:
        if not len(rows):
            return None
        features = Features(rows[:, None], rows[:, None, :0], {}, rows)
        scores: Tensor = self._predictor[0](features, None, ())
        return scores.float()
