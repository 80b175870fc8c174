"""Soft assignments without a transport: a running mean is taken off the scores (DINO, Caron et al. 2021)."""

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
    """shares = softmax((scores - centre) / temperature);  centre <- m centre + (1 - m) mean of scores.

    The mean is over the images, of all views assigned in a step and of all processes, and moves the centre after
    the step. Centring keeps one cluster from taking every image, sharpening by a low temperature keeps shares
    from becoming equal: each alone collapses.

    momentum: m. temperature: a number, or a schedule over the `steps` of the run.
    """

    centre: Float[Tensor, "S K"]
    alike = True  # in every process: see wrap

    def __init__(self, momentum: float = 0.9, temperature: float | Schedule = 0.04, steps: int = 0):
        super().__init__()
        share(self, momentum=momentum)
        positive(self, temperature=temperature)
        whole(self, 0, steps=steps)
        self.momentum, self.temperature, self.steps = momentum, temperature, steps
        self._made: list[Tensor] = []  # sums of scores [S K+1] of this forward pass, images counted last
        self._kept: list[Tensor] = []  # of all forward passes of this step

    def build(self, sets: int, clusters: int) -> None:
        """Begin with a centre of zeros for each of S sets of K clusters."""
        self.register_buffer("centre", torch.zeros(sets, clusters))

    @torch.no_grad()
    def assign(self, scores: Float[Tensor, "B M K"], step: int = 0) -> Float[Tensor, "B M K"]:
        """Give the shares of each row, float32. M is S, or any number of places where there is one set."""
        scores = scores.float()
        if self.training:
            self._made.append(self._summed(scores))
        return ((scores - self.centre) / at(self.temperature, step, self.steps)).softmax(-1)

    def after_forward(self, batch: object, output: object) -> None:
        """Keep the sums of what was assigned."""
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
