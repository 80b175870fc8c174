"""Crop a few sizes at a few places, as video methods do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from pymim import checks, philox
from pymim.views.crop import scaled_boxes
from pymim.views.normalise import Statistics
from pymim.views.rectangle import Channels
from pymim.views.view import Change, Pretrain

if TYPE_CHECKING:
    from jaxtyping import Int


class MultiScale(Pretrain):
    """Crop one of a few rectangles at one of 13 places (TSN, Wang et al. 2016).

    VideoMAE uses it (Tong et al. 2022). The defaults give ten pairs of sides, with aspects from
    0.857 to 1.167 and a third to three quarters of the area of a 4 : 3 picture.

    Args:
        size: rows and columns, or one number for both.
        scales: sides of the rectangle, as shares of the picture's shorter side.
        distort: how far apart in `scales` height and width may be: 0 gives squares.
        flip: probability.
        changes, statistics, channels, nearest: as of `Pretrain`.
        kernel: "bilinear" as in TSN, or "bicubic".
    """

    def __init__(
        self,
        size: int | tuple[int, int] = 224,
        scales: Sequence[float] = (1.0, 0.875, 0.75, 0.66),
        distort: int = 1,
        flip: float = 0.0,
        changes: Sequence[Change] = (),
        statistics: Statistics = "imagenet",
        channels: Channels = None,
        nearest: Sequence[int] = (),
        kernel: str = "bilinear",
    ):
        checks.share(self, "above 0, to 1", scales=scales)
        checks.whole(self, 1, scales=len(scales))
        checks.whole(self, 0, distort=distort)
        super().__init__(
            size,
            flip=flip,
            changes=changes,
            statistics=statistics,
            channels=channels,
            nearest=nearest,
            kernel=kernel,
        )
        self.scales, self.distort = tuple(scales), distort

    def boxes(self, shape: Int[Tensor, "B 2"], name: philox.Name) -> Int[Tensor, "B 4"]:
        """Draw a rectangle of each picture: top, left, height, width."""
        return scaled_boxes(shape, name, self.size, self.scales, self.distort)
