"""Cut a square out of each picture (DeVries & Taylor 2017)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pymim import philox
from pymim.checks import ascending, finite, share, whole
from pymim.views.change import drawn


class Cutout:
    """Fill a square round a pixel drawn anywhere in the picture; part of it may be outside.

    side: pixels of a side, drawn uniformly, both ends included. fill: a value on [0, 1], or one for
        each channel. p: probability.
    """

    def __init__(
        self, side: tuple[int, int] = (1, 16), fill: float | Sequence[float] = 0.0, p: float = 1.0
    ):
        ascending(self, whole, 1, side=side)
        finite(self, fill=fill)
        share(self, p=p)
        self.side, self.p = side, p
        self.fill = torch.tensor(
            [fill] if isinstance(fill, int | float) else list(fill), dtype=torch.float32
        )

    def __call__(self, images: Tensor, name: philox.Name, first: int) -> Tensor:
        if len(self.fill) not in (1, images.shape[1]):
            raise ValueError(
                f"Cutout: fill: expected one value, or one for each of {images.shape[1]} channels, "
                f"got {len(self.fill)}; give one value"
            )
        chance, random = drawn(name, first, images)
        least, most = self.side
        side = (least + (random[:, 0] * (most - least + 1)).floor()).clamp_max(most)
        inside = [
            self._covers(random[:, axis + 1], side, extent, images.ndim, axis)
            for axis, extent in enumerate(images.shape[-2:])
        ]
        hidden = inside[0] & inside[1] & (chance < self.p)
        fill = self.fill.view(-1, *(1,) * (images.ndim - 2))
        return torch.where(hidden, fill, images)

    def _covers(self, random: Tensor, side: Tensor, extent: int, axes: int, axis: int) -> Tensor:
        """Return which rows (axis 0) or columns (axis 1) of each picture the square covers."""
        pixel = torch.arange(extent, dtype=torch.float32)
        pixel = (
            pixel.view(*(1,) * (axes - 2), -1, 1)
            if axis == 0
            else pixel.view(*(1,) * (axes - 1), -1)
        )
        centre = (random * extent).floor()
        start = centre - (side / 2).floor()
        return (pixel >= start) & (pixel < start + side)
