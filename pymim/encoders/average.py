"""Exponential moving averages of a module's weights: momentum encoders, and averaged weights to
export.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from pymim.checks import given, share
from pymim.contracts import Run
from pymim.encoders.copy import Copy
from pymim.schedule import Cosine, Schedule, at


class Average(Copy):
    """Keep a copy of `source` that follows it: w <- m w + (1 - m) w_source.

    Buffers are copied.

    Args:
        source: the module to follow.
    """

    @torch.no_grad()
    def update(self, source: nn.Module, momentum: float) -> None:
        """Move one step towards `source`: keep the share `momentum` of each weight, and copy
        buffers.
        """
        torch._foreach_lerp_(
            list(self.module.parameters()), list(source.parameters()), 1 - momentum
        )
        for mine, theirs in zip(self.module.buffers(), source.buffers(), strict=True):
            mine.copy_(theirs)


class Momentum(Average):
    """Average `source` after every step: a momentum encoder, if the source is an encoder.

    (MoCo, He et al. 2020; BYOL, Grill et al. 2020.) The copy takes no gradient, so no optimiser has
    it. Checkpoints have it. All processes compute the same copy.

    Args:
        source: the module to follow.
        momentum: m, a number or a schedule over `steps`; default: BYOL's half cosine from 0.996 to
            1.
        steps: length of the run in steps, for the schedule.
    """

    def __init__(
        self, source: nn.Module, momentum: float | Schedule | None = None, steps: int = 0
    ) -> None:
        share(self, **given(momentum=momentum))
        super().__init__(source)
        self.momentum = Cosine(0.996, end=1.0) if momentum is None else momentum
        self.steps = steps
        self._source = [source]  # in a list: the source is registered elsewhere

    def before_run(self, run: Run) -> None:
        """Copy the source when a run begins: it may have loaded weights since then."""
        if run.step == 0:
            self.update(self._source[0], 0.0)

    def after_step(self, encoder: nn.Module, step: int) -> None:
        self.update(self._source[0], at(self.momentum, step, self.steps))


def followed(parts: Iterable[nn.Module], encoder: nn.Module) -> Momentum | None:
    """Give the momentum copy of `encoder` that one of `parts` has already, to share it."""
    modules = (module for part in parts for module in part.modules())
    return next((m for m in modules if isinstance(m, Momentum) and m._source[0] is encoder), None)
