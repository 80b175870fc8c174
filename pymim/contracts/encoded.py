"""Define what an encoder gives: features, and the branches that a method encodes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from pymim.contracts.inputs import Draw, Grid, Mask

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Features(NamedTuple):
    """The features of a view. V = N if every patch has a token.

    ids: the patches that the tokens belong to; None: all, in raster order.
    taps: prefix and tokens [B R+V D] after the requested blocks, before the norm.
    losses: the encoder's own losses, each [B L]; their means are added to the loss.
    """

    tokens: Float[Tensor, "B V D"]
    prefix: Float[Tensor, "B R D"]  # class token, then registers; R may be 0
    taps: dict[int, Tensor]
    pooled: Float[Tensor, "B E"]
    pyramid: tuple[Tensor, ...] = ()  # maps [B D h w] of convolutional stages, the finest first
    ids: Int[Tensor, "B V"] | None = None
    losses: dict[str, Tensor] = {}  # noqa: RUF012 - never changed

    def at(self, tap: int | None) -> Features:
        """Return the features as if the encoder ended at this tap; `pooled` is the tokens' mean.

        Raises: ValueError if the encoder does not keep this tap.
        """
        if tap is None:
            return self
        if tap not in self.taps:
            known = ", ".join(map(str, self.taps)) or "none"
            raise ValueError(
                f"Features.at: tap: expected one of {known}, got {tap}; "
                "add it to the encoder's taps"
            )
        prefix, tokens = self.taps[tap].tensor_split((self.prefix.shape[1],), 1)
        return self._replace(tokens=tokens, prefix=prefix, pooled=tokens.mean(1))

    def detach(self) -> Features:
        """Return the same features without a graph."""
        taps = {number: tap.detach() for number, tap in self.taps.items()}
        pyramid = tuple(level.detach() for level in self.pyramid)
        parts = self.tokens.detach(), self.prefix.detach(), taps, self.pooled.detach(), pyramid
        return Features(*parts, self.ids)

    def split(self, counts: Sequence[int]) -> list[Features]:
        """Split the batch into features of `counts` images each."""
        return [
            self._of(slice(first, last)) for first, last in pairwise(accumulate(counts, initial=0))
        ]

    def _of(self, images: slice) -> Features:
        taps = {number: tap[images] for number, tap in self.taps.items()}
        losses = {name: loss[images] for name, loss in self.losses.items()}
        pyramid = tuple(level[images] for level in self.pyramid)
        ids = None if self.ids is None else self.ids[images]
        parts = self.tokens[images], self.prefix[images], taps, self.pooled[images], pyramid
        return Features(*parts, ids, losses)


class Source(NamedTuple):
    """Name one branch: a view, and which of its masks."""

    view: int
    mask: int = 0


class Branch(NamedTuple):
    """One view under one mask, as the encoder saw it."""

    source: Source
    view: Tensor
    index: Int[Tensor, " B"]  # type: ignore[assignment]
    draw: Draw  # names the seed and the step
    grid: Grid
    mask: Mask | None
    difficulty: Float[Tensor, "B N"] | None  # with its graph
    features: Features
