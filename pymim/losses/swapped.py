"""Swapped assignments: each side predicts the other's clusters (SwAV, Caron et al. 2020; SIGMA,
Salehi et al. 2024).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pymim.checks import positive, whole
from pymim.clusters.prototypes import Prototypes
from pymim.clusters.transport import SCHEDULED, Transport
from pymim.contracts import Encoder, Tally
from pymim.losses.entropy import CrossEntropy
from pymim.measures import mean, usage

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Swapped(nn.Module):
    """Give CE(<target, c> / temperature, prediction's label) + CE(<prediction, c> / temperature,
    target's label) [B M].

    c are K learned prototypes; all vectors have unit length. Each side's labels come from transport
    of its own tokens over the whole batch. They are hard, so the loss can reach 0.

    The first term trains the prototypes and, if it has a graph, the target. The second, where
    prototypes are constants, trains predictor and encoder. Everything is float32. SwAV's queue of
    earlier features, for batches with fewer tokens than clusters, is left out: a batch of clips has
    more.

    A prediction that knows nothing has loss 2 log K. Unlike a squared error to a learned target, a
    constant does not minimise it: transport spreads equal tokens over all clusters.

    Args:
        clusters: number K of prototypes.
        temperature: temperature of both terms.
        transport: gives the labels; by "batch", since masks differ and one token index is not one
            place. Default: `Transport(0.05, 10, by="batch")`. SIGMA's epsilon is 0.05 on
            Kinetics-400 and 0.03 for ViT-B on Something-Something v2.

    Raises:
        ValueError: an argument is out of range, the transport is by position, or it has a schedule.
    """

    prototypes: Prototypes

    def __init__(
        self, clusters: int = 3000, temperature: float = 0.1, transport: Transport | None = None
    ):
        super().__init__()
        whole(self, 2, clusters=clusters)
        positive(self, temperature=temperature)
        self.clusters, self.chance = clusters, 2 * math.log(clusters)
        self.transport = transport or Transport(0.05, 10, by="batch")
        self.cross_entropy = CrossEntropy(temperature)
        if self.transport.by != "batch":
            raise ValueError(
                f"Swapped: transport: expected by = 'batch', as the hidden patches of several "
                f"images are at different places, got {self.transport.by!r}; "
                "set clusters.Transport.by = 'batch'"
            )
        if any(callable(getattr(self.transport, name)) for name in SCHEDULED):
            raise ValueError(
                "Swapped: transport: expected numbers, as a loss does not know the step, got a "
                "schedule; set a number"
            )

    def build(self, width: int, encoder: Encoder) -> None:
        """Make the prototypes for the target's width."""
        self.prototypes = Prototypes(width, self.clusters)

    def forward(
        self, prediction: Float[Tensor, "B M T"], target: Float[Tensor, "B M T"]
    ) -> Float[Tensor, "B M"]:
        with torch.autocast("cuda" if prediction.is_cuda else "cpu", enabled=False):
            ours, theirs = self.prototypes(prediction, detach=True), self.prototypes(target)
            first = self.cross_entropy(theirs, self._labels(prediction, ours))
            return first + self.cross_entropy(ours, self._labels(target, theirs))

    def gauges(self, prediction: Tensor, target: Tensor) -> dict[str, Tally]:
        """Give how the target's tokens use the clusters, and how often both sides agree on the
        label.
        """
        labels = [self._labels(tokens, self.prototypes(tokens)) for tokens in (prediction, target)]
        return usage(labels[1], self.clusters) | {"agreement": mean(labels[0] == labels[1])}

    @torch.no_grad()
    def assignments(self, values: Float[Tensor, "B N T"]) -> Int[Tensor, "B N"]:
        """Give the nearest prototype of each value of the target."""
        scores: Tensor = self.prototypes(values)
        return scores.argmax(-1)

    def _labels(self, tokens: Tensor, scores: Tensor) -> Int[Tensor, "B M"]:
        unit = nn.functional.normalize(tokens.float(), dim=-1)
        return self.transport.labels(scores, self.transport(unit, self.prototypes.weight))
