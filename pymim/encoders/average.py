"""The exponential moving average of a module's weights: a momentum encoder, or what is exported."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from pymim.checks import given, share
from pymim.contracts import Run
from pymim.schedule import Cosine, Schedule, at


class Average(nn.Module):
    """A copy of `source` that follows it: w <- m w + (1 - m) w_source; buffers are copied.

    It is always in evaluation mode, and gives what the copy gives, without gradient.
    """

    def __init__(self, source: nn.Module) -> None:
        super().__init__()
        self.module = copy.deepcopy(source).requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> Average:
        """Evaluation mode, whatever is asked for."""
        super().train(False)
        return self

    @torch.no_grad()
    def forward(self, *arguments: Any) -> Any:
        return self.module(*arguments)

    @torch.no_grad()
    def update(self, source: nn.Module, momentum: float) -> None:
        """One step towards `source`."""
        torch._foreach_lerp_(list(self.module.parameters()), list(source.parameters()), 1 - momentum)
        for mine, theirs in zip(self.module.buffers(), source.buffers(), strict=True):
            mine.copy_(theirs)


class Momentum(Average):
    """An average that follows its source by itself, after each step: a momentum encoder, where the source is one
    (MoCo, He et al. 2020; BYOL, Grill et al. 2020).

    momentum: m, a number or a schedule over `steps`; by default BYOL's half cosine from 0.996 to 1.

    Its weights take no gradient, so no optimiser has them; checkpoints do; and all processes make the same ones.
    """

    def __init__(self, source: nn.Module, momentum: float | Schedule | None = None, steps: int = 0) -> None:
        share(self, **given(momentum=momentum))
        super().__init__(source)
        self.momentum = Cosine(0.996, end=1.0) if momentum is None else momentum
        self.steps = steps
        self._source = [source]  # in a list: it is somebody else's module

    def before_run(self, run: Run) -> None:
        """Begin where the source begins, which may have been given its weights since this copy was made."""
        if run.step == 0:
            self.update(self._source[0], 0.0)

    def after_step(self, encoder: nn.Module, step: int) -> None:
        self.update(self._source[0], at(self.momentum, step, self.steps))


def followed(parts: Iterable[nn.Module], encoder: nn.Module) -> Momentum | None:
    """The momentum copy of `encoder` that one of `parts` has already, to be shared instead of made twice."""
    modules = (module for part in parts for module in part.modules())
    return next((m for m in modules if isinstance(m, Momentum) and m._source[0] is encoder), None)
