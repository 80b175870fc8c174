"""Contrast the pictures of a batch: match each picture to its other view among all others
(InfoNCE).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from pymim.checks import positive
from pymim.world import all_ranks, gathered

if TYPE_CHECKING:
    from jaxtyping import Float


class Contrast:
    """Give -log( exp(<a, b> / t) / sum_x exp(<a, x> / t) ), averaged with the same for a and b
    swapped [B M].

    a and b are the unit vectors of a picture's prediction and target, x every other vector of the
    global batch (SimCLR, Chen et al. 2020). Each of M predictions is contrasted within its own
    column. Both sides learn if the target keeps its graph (`targets.Predicted`), with several
    processes as with one.

    Args:
        temperature: t, which divides the products.
    """

    together = True
    over_batch = "each is compared with all others in {}"

    def __init__(self, temperature: float = 0.1):
        positive(self, temperature=temperature)
        self.temperature = temperature

    def __call__(
        self, prediction: Float[Tensor, "B M D"], target: Float[Tensor, "B M D"]
    ) -> Float[Tensor, "B M"]:
        sides = [normalize(side.float(), dim=-1) for side in (prediction, target)]
        with torch.autocast("cuda" if prediction.is_cuda else "cpu", enabled=False):
            columns = [
                self._column(a, b) for a, b in zip(*(side.unbind(1) for side in sides), strict=True)
            ]
        return torch.stack(columns, 1)

    def _column(
        self, first: Float[Tensor, "B D"], second: Float[Tensor, "B D"]
    ) -> Float[Tensor, " B"]:
        everything = torch.cat([gathered(first), gathered(second)])
        total, count = len(everything) // 2, len(first)
        own = torch.arange(count, device=first.device) + _rank() * count
        losses = []
        for side, mine, other in ((first, own, own + total), (second, own + total, own)):
            scores = (side @ everything.T / self.temperature).scatter(
                1, mine[:, None], float("-inf")
            )
            losses.append(cross_entropy(scores, other, reduction="none"))
        return (losses[0] + losses[1]) / 2


def _rank() -> int:
    return 0 if all_ranks() is None else dist.get_rank()
