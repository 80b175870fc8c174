"""The exponential moving average of a module's weights: a momentum encoder, or what is exported."""

from __future__ import annotations

import copy

import torch
from torch import nn


class Average(nn.Module):
    """A copy of `source` that follows it: w <- m w + (1 - m) w_source; buffers are copied."""

    def __init__(self, source: nn.Module) -> None:
        super().__init__()
        self.module = copy.deepcopy(source).requires_grad_(False).eval()

    @torch.no_grad()
    def update(self, source: nn.Module, momentum: float) -> None:
        """One step towards `source`."""
        torch._foreach_lerp_(list(self.module.parameters()), list(source.parameters()), 1 - momentum)
        for mine, theirs in zip(self.module.buffers(), source.buffers(), strict=True):
            mine.copy_(theirs)
