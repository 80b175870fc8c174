"""A copy of a module that gets no gradient: the base of momentum encoders and frozen ones."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

import torch
from torch import nn

Own = TypeVar("Own", bound="Copy")


class Copy(nn.Module):
    """Keep a copy of `source`, always in evaluation mode, and call it without gradient.

    Args:
        source: the module to copy.
    """

    def __init__(self, source: nn.Module) -> None:
        super().__init__()
        self.module = copy.deepcopy(source).requires_grad_(False)
        self.eval()

    def train(self: Own, mode: bool = True) -> Own:
        """Stay in evaluation mode, whatever mode is requested."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, *arguments: Any) -> Any:
        return self.module(*arguments)
