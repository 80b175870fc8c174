"""What a target gives.

A target is a module built by constructor(encoder), with `width` = T. Called with (views, view, mask, index) it
gives the values to predict, [B M T] for the ids `mask.predicted` (every patch without a mask), or ids of classes,
int64 [B M], and no gradient to the encoder. One that learns gives `Learned`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float


class Learned(NamedTuple):
    """The values of a target that learns by a loss of its own, which needs no prediction: one number per patch it
    learns from, added to the objective's as a mean, and logged beside it."""

    values: Tensor  # [B M T], without gradient
    losses: Float[Tensor, "B L"]
