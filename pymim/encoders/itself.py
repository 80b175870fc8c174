"""The method's own encoder as a teacher, without a copy."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import nn

from pymim.contracts import Encoder
from pymim.layers.eval_mode import eval_mode


class Itself(nn.Module):
    """Call the encoder as it is now, without gradient: a teacher whose weights are the student's
    (CAE, Chen et al. 2024).

    The released code of CAE has a second encoder whose weights share the memory of the first's, so
    it is the same. Its stochastic depth is that of training; here it is off by default, as the
    target should not depend on chance.

    Args:
        source: the method's encoder; what wraps it for training is left out (`Encoder.bare`).
        training: call it in training mode, as released; otherwise in evaluation mode.
    """

    def __init__(self, source: Encoder, training: bool = False):
        super().__init__()
        self.in_training = training
        self._source = [source]  # in a list: the source is registered elsewhere

    @property
    def module(self) -> Encoder:
        """The encoder that is called."""
        return self._source[0].bare

    @torch.no_grad()
    def forward(self, *arguments: Any) -> Any:
        with contextlib.nullcontext() if self.in_training else eval_mode(self.module):
            return self.module(*arguments)
