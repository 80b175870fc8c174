"""Define what an objective asks for and gives, and what a step computes in total."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from pymim.contracts.encoded import Branch, Features, Source
from pymim.contracts.inputs import Batch, Grid, Mask

if TYPE_CHECKING:
    from jaxtyping import Float


class Asked(NamedTuple):
    """What an objective asks its target: the values to predict of one view.

    mask: `mask.predicted` are the patches to give; None: all of them, or the pooled image.
    branch: the encoder's own of this view, without a graph unless the target sets `graph`; None if
        the target reads pixels.
    predict: predict(name) is the prediction of an objective from that branch, by default this
        one's.
    grid: of the view that predicts, which the ids refer to.
    """

    batch: Batch
    number: int  # of the view
    mask: Mask | None
    step: int
    branch: Branch | None = None
    predict: Callable[..., Tensor] | None = None
    grid: Grid | None = None

    @property
    def view(self) -> Tensor:
        """The pixels, [B C *S]."""
        return self.batch.views[self.number]

    @property
    def index(self) -> Tensor:  # type: ignore[override]
        """The dataset index, int64 [B]."""
        return self.batch.index

    @property
    def ids(self) -> Tensor | None:
        """The patches to give, [B M]; None: all."""
        return None if self.mask is None else self.mask.predicted


class Made(NamedTuple):
    """What a target or a predictor may return instead of plain values.

    weight: how much each patch counts, times the mask's. beside: further arguments of the loss, by
        name.
    losses: the part's own losses: one number per patch [B L], added by its mean and logged.
    """

    values: Tensor  # [B M T], or ids of classes, int64 [B M]
    losses: Float[Tensor, "B L"] | None = None
    weight: Float[Tensor, "B M"] | None = None
    beside: Mapping[str, Any] = {}


class Pair(NamedTuple):
    """One prediction, its target, and the losses between them."""

    source: Source
    to: int
    prediction: Tensor  # [B M T]
    target: Tensor  # [B M T] or ids [B M]
    losses: Tensor  # [B M]; [1 1] if the loss reduces the whole batch


class Output(NamedTuple):
    """Everything a step computed, by name of objective."""

    loss: Tensor  # scalar float32
    losses: dict[str, Tensor]  # [B M], with graph; parts' own: NAME.target, encoder.NAME, ranker
    pairs: dict[str, list[Pair]]
    branches: dict[Source, Branch]

    @property
    def predictions(self) -> dict[str, Tensor]:
        """The predictions of every pair side by side, [B M T]."""
        return {
            name: torch.cat([p.prediction for p in pairs], 1)
            for name, pairs in self.pairs.items()
            if pairs
        }

    @property
    def targets(self) -> dict[str, Tensor]:
        """The targets of every pair side by side, [B M T] or [B M]."""
        return {
            name: torch.cat([p.target for p in pairs], 1)
            for name, pairs in self.pairs.items()
            if pairs
        }

    @property
    def mask(self) -> Mask | None:
        """The first branch's mask."""
        return next(iter(self.branches.values())).mask

    @property
    def features(self) -> Features:
        """The first branch's features."""
        return next(iter(self.branches.values())).features
