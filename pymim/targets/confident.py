"""Labels that a method gives itself where it is confident (self-labelling: SCAN, Van Gansbeke et
al. 2020).
"""

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
    """Give each picture its most likely cluster where the probability exceeds `threshold`;
    elsewhere -1, at weight 0.

    The probability is the softmax of an objective's predictor. Labels are constants, int64 [B S]. A
    label's weight is the inverse of its frequency among the labels of its head: w_k = total /
    count_k. Heads count equally. So an objective's mean loss is sum(w l) / sum(w) over a head's
    labelled pictures. All of this is per forward pass: over a process's share of the batch, or a
    piece of it.

    Unlike the released code, a batch without confident pictures is no error: it has no loss.

    Args:
        encoder: the method's encoder.
        clusters: number K of clusters.
        threshold: least probability of a label.
        balance: weigh labels by frequency; otherwise all labels count the same.
        of: name of the objective whose predictor is used; default: its own.
    """

    reads = "prediction"
    over_batch = "labels weigh by their number among {}"

    def __init__(
        self,
        encoder: Encoder,
        clusters: int,
        threshold: float = 0.99,
        balance: bool = True,
        of: str = "",
    ):
        super().__init__()
        whole(self, 2, clusters=clusters)
        share(self, threshold=threshold)
        self.width, self.threshold = clusters, threshold
        self.balance, self.of = balance, of

    @torch.no_grad()
    def forward(self, asked: Asked) -> Made:
        assert asked.predict is not None, "it reads predictions"
        most, ids = asked.predict(self.of).float().softmax(-1).max(-1)
        sure = most > self.threshold
        return Made(torch.where(sure, ids, -1), weight=self._weight(ids, sure))

    def gauges(self, prediction: Tensor, target: Int[Tensor, "B S"]) -> dict[str, Tally]:
        """Give the share of labelled pictures, and how labels use the clusters."""
        sure = target >= 0
        return {"sure": mean(sure)} | usage(target[sure], self.width)

    def _weight(self, ids: Int[Tensor, "B S"], sure: Bool[Tensor, "B S"]) -> Float[Tensor, "B S"]:
        counted = sure.float()
        if self.balance:
            counts = counted.new_zeros(ids.shape[1], self.width).scatter_add_(1, ids.T, counted.T)
            each = counts.sum(1, keepdim=True) / counts.clamp_min(1)
            counted = counted * each.gather(1, ids.T).T
        return counted / counted.mean(0).clamp_min(torch.finfo(counted.dtype).tiny)
