"""The sizes of an encoder that ends at a tap."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from pymim.contracts import Encoder, Features, Grid, Mask


class Ended(Encoder):
    """Describe `encoder` as if it ended at a tap: its sizes there. It cannot encode.

    Predictors at a tap are built from it.

    Args:
        encoder: the whole encoder.
        width: width of the tokens at the tap.
        patch: pixels of a token's cell there, per axis.
        base: the usual grid there.
    """

    def __init__(self, encoder: Encoder, width: int, patch: tuple[int, ...], base: Grid):
        super().__init__()
        self.width, self.patch = width, patch
        self.base = base
        self.channels, self.prefix = encoder.channels, encoder.prefix
        self.placed = encoder.placed
        self.hidden, self._dense = encoder.hidden, encoder.dense

    @property
    def dense(self) -> bool:
        return self._dense

    def forward(self, view: Tensor, mask: Mask | None = None) -> Features:
        raise NotImplementedError("Ended: only describes sizes, it cannot encode; call the encoder")

    def grid(self, shape: Sequence[int]) -> Grid:
        raise NotImplementedError("Ended: only describes sizes, it has no grid; call the encoder")


class Foretold(Ended):
    """Describe the tokens that an objective predicts, for the predictor of one that comes after it:
    a token for each predicted patch, and no prefix.

    Args:
        encoder: the whole encoder.
        width: width of the predicted tokens.
    """

    def __init__(self, encoder: Encoder, width: int):
        super().__init__(encoder, width, encoder.patch, encoder.base)
        self.prefix = self.placed = 0
        self.hidden, self._dense = "none", True
