"""Labels that a method gives itself where it is sure (self-labelling: SCAN, Van Gansbeke et al. 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pymim.checks import share, whole
from pymim.contracts import Asked, Encoder, Made, Tally, Target
from pymim.measures import mean, usage

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


class Confident(Target):
    """The likeliest cluster of each picture, by what an objective's predictor makes of the view looked at, where
    its probability is above `threshold`; -1, and weight 0, elsewhere. Nothing learns through it.

    A label counts by the inverse of its frequency among the labels of its head: w_k = total / count_k. Heads
    count alike. So an objective's mean loss is sum(w l) / sum(w) of a head's sure pictures. All of it is of the
    pictures that are passed forward together: a process's share, or a piece of it.

    Unlike in the released code, a batch in which nothing is sure is no error: it teaches nothing.

    Args:
        clusters: K. threshold: on the probability. balance: weigh by frequency; if not, sure labels count alike.
        of: the objective whose predictor it is, by name; by default this one's own.
    """

    reads = "prediction"
    over_batch = "labels weigh by their number among {}"

    def __init__(
        self, encoder: Encoder, clusters: int, threshold: float = 0.99, balance: bool = True, of: str = ""
    ):
        super().__init__()
        whole(self, 2, clusters=clusters)
        share(self, threshold=threshold)
        self.width, self.threshold, self.balance, self.of = clusters, threshold, balance, of

    @torch.no_grad()
    def forward(self, asked: Asked) -> Made:
        assert asked.predict is not None, "it reads predictions"
        most, ids = asked.predict(self.of).float().softmax(-1).max(-1)
        sure = most > self.threshold
        return Made(torch.where(sure, ids, -1), weight=self._weight(ids, sure))

    def gauges(self, prediction: Tensor, target: Int[Tensor, "B S"]) -> dict[str, Tally]:
        """The share of pictures that have a label, and how these use the clusters."""
        sure = target >= 0
        return {"sure": mean(sure)} | usage(target[sure], self.width)

    def _weight(self, ids: Int[Tensor, "B S"], sure: Bool[Tensor, "B S"]) -> Float[Tensor, "B S"]:
        counted = sure.float()
        if self.balance:
            counts = counted.new_zeros(ids.shape[1], self.width).scatter_add_(1, ids.T, counted.T)
            each = counts.sum(1, keepdim=True) / counts.clamp_min(1)
            counted = counted * each.gather(1, ids.T).T
        return counted / counted.mean(0).clamp_min(torch.finfo(counted.dtype).tiny)
