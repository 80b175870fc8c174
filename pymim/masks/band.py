"""Masks of frequencies: remove a band of each picture's spectrum, hide no patch (MFM, Xie et al.
2023).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from pymim.checks import positive, share
from pymim.contracts import Draw, Grid, Mask
from pymim.ops import mask as ops

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

SIDES = 1000  # each image draws one of this many numbers


class Kept(NamedTuple):
    """The frequencies that stay: those inside a disc around 0, or those outside it."""

    inside: Bool[Tensor, " B"]
    radius: float  # cycles across the picture

    def kept(self, rows: int, columns: int) -> Bool[Tensor, "B rows K"]:
        """Give True for each kept frequency of the half spectrum that rfft2 makes, K = columns // 2
        + 1.
        """
        device = self.inside.device
        down = torch.fft.fftfreq(rows, 1 / rows, dtype=torch.float64, device=device)
        across = torch.fft.rfftfreq(columns, 1 / columns, dtype=torch.float64, device=device)
        disc = down.square()[:, None] + across.square() < self.radius**2
        kept: Tensor = disc == self.inside[:, None, None]
        return kept

    def filtered(self, pixels: Float[Tensor, "B C *S"]) -> Float[Tensor, "B C *S"]:
        """Give the pixels without the removed frequencies, each channel and frame by itself."""
        rows, columns = pixels.shape[-2:]
        kept = self.kept(rows, columns)
        kept = kept.view(len(kept), *(1,) * (pixels.ndim - 3), *kept.shape[1:])
        inverse: Tensor = torch.fft.irfft2(torch.fft.rfft2(pixels) * kept, s=(rows, columns))
        return inverse

    def pasted(self, predicted: Float[Tensor, "B C *S"], pixels: Float[Tensor, "B C *S"]) -> Tensor:
        """Give the kept frequencies of `pixels` and the removed ones of `predicted`."""
        return self.filtered(pixels) + predicted - self.filtered(predicted)


class Band:
    """Keep the low or the high frequencies of each image, chosen at random.

    Every patch is visible and predicted; `Mask.extra` is the `Kept` of the batch. The encoder has
    to filter the view by it: `encoders.Altered` with `encoders.Filter`.

    Args:
        radius: radius of the disc of low frequencies, in cycles across the picture (16 for 224
            pixels). A frequency on its border is a high one.
        low: share of images that keep the low frequencies, to a thousandth (0.5; 0.3 for a
            ResNet-50).
    """

    def __init__(self, radius: float = 16.0, low: float = 0.5):
        positive(self, radius=radius)
        share(self, low=low)
        self.radius, self.low = float(radius), low

    def __call__(
        self,
        index: Int[Tensor, " B"],
        grid: Grid,
        draw: Draw,
        difficulty: Float[Tensor, "B N"] | None = None,
    ) -> Mask:
        thrown = ops.uniform(index, (1, SIDES), 1, **draw._asdict()).visible[:, 0]
        every = torch.arange(math.prod(grid), device=index.device).expand(len(index), -1)
        return Mask(
            every, every[:, :0], every, extra=Kept(thrown < round(self.low * SIDES), self.radius)
        )
