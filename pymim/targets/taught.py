"""Assignments by a momentum copy of encoder and head: self-distillation (DINO, Caron et al.
2021).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pymim.checks import whole
from pymim.clusters.centred import Centred
from pymim.clusters.transport import Transport
from pymim.contracts import Asked, Encoder, Tally, Target
from pymim.encoders.average import Momentum
from pymim.measures import usage

if TYPE_CHECKING:
    from jaxtyping import Float


class Taught(Target):
    """Give a teacher's cluster shares of a view [B M K]; the teacher is a momentum copy of encoder
    and predictor.

    Both copies start equal to their sources, follow with one momentum after each step, and take no
    gradient.

    Args:
        encoder: the method's encoder.
        clusters: K, the predictor's number of classes (`predictors.Heads`, with cosines).
        teacher: constructor, called with the encoder: `encoders.Momentum`. Unlike the release, it
            is in evaluation mode and copies buffers, which matters for encoders with batch norms.
        assignment: turns scores into shares: `clusters.Centred`, or `clusters.Transport` over the
            batch (DINOv2, Oquab et al. 2024; MSN, Assran et al. 2022), whose epsilon is the
            teacher's temperature. Default: `Centred()`.

    Raises:
        ValueError: the teacher is not a momentum encoder; there are two predictors, or one that
            needs masks.
    """

    def __init__(
        self,
        encoder: Encoder,
        clusters: int = 65536,
        teacher: Callable[[Encoder], nn.Module] = Momentum,
        assignment: Centred | Transport | None = None,
    ):
        super().__init__()
        whole(self, 2, clusters=clusters)
        self.width, made = clusters, teacher(encoder)
        if not isinstance(made, Momentum):
            raise ValueError(
                "Taught: teacher: expected a momentum encoder, as the copy of the head uses its "
                f"momentum, got {type(made).__name__}; use encoders.Momentum"
            )
        self.teacher, self.assignment = made, assignment or Centred()
        self.head: Momentum | None = None

    @property
    def chance(self) -> float:
        """Give the loss of a prediction that knows nothing."""
        return math.log(self.width)

    def follow(self, predictor: nn.Module) -> None:
        """Copy the predictor.

        Raises:
            ValueError: another predictor was copied already, or this one cannot see a whole view.
        """
        if self.head is not None:
            if self.head._source[0] is predictor:
                return
            raise ValueError(
                "Taught: predictor: expected one for all objectives of this target, got two; set "
                "the second objective's predictor to the first objective's name"
            )
        if getattr(predictor, "reads", "") == "mask":
            raise ValueError(
                "Taught: predictor: expected a predictor of pooled vectors or of tokens, got "
                f"{type(predictor).__name__}, which predicts hidden patches, and the teacher sees "
                "all patches; use predictors.Heads"
            )
        self.head = Momentum(predictor, self.teacher.momentum, self.teacher.steps)
        if isinstance(self.assignment, Centred):
            self.assignment.build(getattr(predictor, "sets", 1), self.width)

    @torch.no_grad()
    def forward(self, asked: Asked) -> Float[Tensor, "B M K"]:
        assert self.head is not None, "it follows a predictor"
        features = self.teacher(asked.view)
        grid = self.teacher.module.grid(asked.view.shape)  # type: ignore[operator]
        return self.assignment.assign(self.head(features, asked.mask, grid), asked.step)

    def gauges(self, prediction: Tensor, target: Tensor) -> dict[str, Tally]:
        """Give how the clusters are used: an entropy of 1 is one kind of collapse, a balance of 0
        the other.
        """
        return usage(target, self.width)
