"""What the data stage hands on."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """Images or clips, in one or several views."""

    views: list[Tensor]  # float32 [B C H W] or [B C T H W], normalised
    index: Tensor  # type: ignore[assignment] # int64 [B], the dataset index
    label: Tensor  # int64 [B], -1 where there is none
