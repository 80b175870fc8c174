"""What every encoder is, and what it returns."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor, nn

from pymim.layers.patch import patch_grid
from pymim.masks.mask import Grid, Mask

if TYPE_CHECKING:
    from jaxtyping import Float


class Features(NamedTuple):
    """Predictors, targets, rankers and probes take what they need. V = N if hidden patches are not dropped."""

    tokens: Float[Tensor, "B V D"]
    prefix: Float[Tensor, "B R D"]  # class token, then registers; R may be 0
    taps: dict[int, Tensor]  # tokens [B V D] after the blocks asked for, not normed
    pooled: Float[Tensor, "B E"]
    pyramid: tuple[Tensor, ...] = ()  # maps [B D h w] of a convolutional encoder's stages, the finest first


class Encoder(nn.Module):
    """Views to features; targets and predictors read its sizes when they are built."""

    width: int  # D
    channels: int
    patch: tuple[int, ...]  # pixels per axis, frames first
    base: Grid  # of the views it was built for
    prefix: int  # R
    placed: int = 0  # how many of the prefix, its last, have places beside the patches'

    @property
    def embedding(self) -> int:
        """E, of the pooled vector."""
        return self.width

    @property
    def items(self) -> str:
        """What it encodes, by its name."""
        return "clips" if len(self.patch) == 3 else "images"

    @property
    def traits(self) -> dict[str, str]:
        """What changes its features and cannot be told from its weights; a file of them names it."""
        return {}

    @abstractmethod
    def forward(self, view: Float[Tensor, "B C *S"], mask: Mask | None = None) -> Features: ...

    def grid(self, shape: Sequence[int]) -> Grid:
        """The patch grid of a view of this shape, [B C *sides]."""
        return patch_grid(tuple(shape), self.patch)
