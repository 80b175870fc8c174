"""What views of one rectangle of each picture have in common: size, channels, normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from pymim.checks import whole
from pymim.errors import ConfigError
from pymim.views.crop import Middle
from pymim.views.normalise import Normalise, Statistics
from pymim.views.resample import KERNELS, resample, resample_middle

if TYPE_CHECKING:
    from jaxtyping import Float, Int

Images = Tensor | list[Tensor]
Channels = int | Sequence[int] | None  # how many, from the first; or which; None: all


class Rectangle:
    """Cuts rectangles out of pictures, at one size, and normalises them.

    channels: of the picture: how many, or which; None: all.
    nearest: those of the picture's channels that take the nearest pixel.
    kernel: of the others: "bicubic", "bilinear" or "bilinear-aliased"; see `views.resample`.
    """

    def __init__(
        self,
        size: int | tuple[int, int],
        statistics: Statistics,
        channels: Channels,
        nearest: Sequence[int],
        kernel: str = "bicubic",
    ):
        whole(self, 1, size=size)
        whole(self, 0, nearest=nearest)
        if kernel not in KERNELS:
            kind, known = type(self).__name__, ", ".join(KERNELS)
            raise ValueError(f"{kind}: kernel: expected one of {known}, got {kernel!r}; name one of them")
        self.size, self.normalise, self.kernel = pair(size), Normalise(statistics), kernel
        self.channels, self.nearest = channels, tuple(nearest)
        taken = self._numbers
        if taken is not None and not set(self.nearest) <= set(taken):
            raise ValueError(
                f"{type(self).__name__}: nearest: expected some of the channels {taken}, got {self.nearest}; "
                "add them to channels, or leave them out"
            )

    def cut(self, images: Images, boxes: Int[Tensor, "B 4"]) -> Float[Tensor, "B C ..."]:
        """The rectangles of these pictures, in the channels and the size of this view."""
        images, nearest = self._taken(images)
        return resample(images, boxes, self.size, nearest, self.kernel)

    def cut_middle(self, images: Images, place: Middle) -> Float[Tensor, "B C ..."]:
        """The middle of these pictures, likewise."""
        images, nearest = self._taken(images)
        return resample_middle(images, place, self.size, nearest, self.kernel)

    def _taken(self, images: Images) -> tuple[Images, tuple[int, ...]]:
        """Give the channels of this view, and which of them take the nearest pixel."""
        taken = self._numbers
        if taken is None:
            return images, self.nearest
        self._check(images)
        chosen = images[:, taken] if isinstance(images, Tensor) else [image[taken] for image in images]
        return chosen, tuple(map(taken.index, self.nearest))

    @property
    def _numbers(self) -> list[int] | None:
        """Which channels of the picture it takes."""
        if isinstance(self.channels, int):
            return list(range(self.channels))
        return None if self.channels is None else list(self.channels)

    def _check(self, images: Images) -> None:
        count, most = images[0].shape[0], max(self._numbers or (0,))
        if most >= count:
            raise ConfigError(
                f"{type(self).__name__}: channels: expected numbers below {count}, as the pictures have {count} "
                f"channels, got {most}; set data.Loader.channels = {most + 1}"
            )


def pair(size: int | tuple[int, int]) -> tuple[int, int]:
    """Rows and columns."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])
