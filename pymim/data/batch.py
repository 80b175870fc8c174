"""What the data stage hands on."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Batch(NamedTuple):
    """Images or clips, in one or several views."""

    views: list[Tensor]  # float32 [B C H W] or [B C T H W], normalised
    index: Tensor  # type: ignore[assignment] # int64 [B], the dataset index
    label: Tensor  # int64 [B], -1 where there is none

    def to(self, device: torch.device) -> Batch:
        """The batch on `device`; from pinned memory without waiting."""
        views = [view.to(device, non_blocking=True) for view in self.views]
        return Batch(views, self.index.to(device, non_blocking=True), self.label.to(device, non_blocking=True))

    def split(self, size: int) -> list[Batch]:
        """Pieces of at most `size` images."""
        views = zip(*(view.split(size) for view in self.views), strict=True)
        parts = zip(views, self.index.split(size), self.label.split(size), strict=True)
        return [Batch(list(piece), index, label) for piece, index, label in parts]
