"""Soft assignments without transport: subtract a running mean from the scores (DINO, Caron et al.
2021).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor, nn

from pymim.checks import positive, share, whole
from pymim.schedule import Schedule, at
from pymim.world import all_ranks

if TYPE_CHECKING:
    from jaxtyping import Float


class Centred(nn.Module):
    """Give shares = softmax((scores - centre) / temperature); centre <- m centre + (1 - m) mean of
    scores.

    The mean is over all images, views and processes of a step, and updates the centre after the
    step. Centring prevents one cluster from taking every image; a low temperature prevents equal
    shares. Each alone collapses.

    Args:
        momentum: share m of the centre that a step keeps.
        temperature: a number, or a schedule over `steps`.
        steps: length of the run in steps, for the schedule.
    """

    centre: Float[Tensor, "S K"]
    replicated_buffers = True  # equal in every process: wrap need not broadcast them

    def __init__(self, momentum: float = 0.9, temperature: float | Schedule = 0.04, steps: int = 0):
        super().__init__()
        share(self, momentum=momentum)
        positive(self, temperature=temperature)
        whole(self, 0, steps=steps)
        self.momentum, self.temperature = momentum, temperature
        self.steps = steps
        # Sums of scores and number of images [S K+1], of this forward pass.
        self._made: list[Tensor] = []
        self._kept: list[Tensor] = []  # the same of all forward passes of this step

    def build(self, sets: int, clusters: int) -> None:
        """Start with a centre of zeros for each of S sets of K clusters."""
        self.register_buffer("centre", torch.zeros(sets, clusters))

    @torch.no_grad()
    def assign(self, scores: Float[Tensor, "B M K"], step: int = 0) -> Float[Tensor, "B M K"]:
        """Give the shares of each row, float32. M is S, or any number of places if there is one
        set.
        """
        scores = scores.float()
        if self.training:
            self._made.append(self._summed(scores))
        return ((scores - self.centre) / at(self.temperature, step, self.steps)).softmax(-1)

    def after_forward(self, batch: object, output: object) -> None:
        """Keep the sums of the forward pass for the step's mean."""
        self._kept += self._made
        self._made = []

    @torch.no_grad()
    def after_step(self, encoder: nn.Module, step: int) -> None:
        """Move the centre towards the mean of the step's scores."""
        if not self._kept:
            return
        sums = torch.stack(self._kept).sum(0)
        if (group := all_ranks()) is not None:
            dist.all_reduce(sums, group=group)
        self.centre.lerp_(sums[:, :-1] / sums[:, -1:], 1 - self.momentum)
        self._kept = []

    def _summed(self, scores: Tensor) -> Tensor:
        rows = scores if len(self.centre) > 1 else scores.flatten(0, 1)[:, None]
        counts = rows.new_full((rows.shape[1], 1), len(rows))
        return torch.cat([rows.sum(0), counts], 1)
