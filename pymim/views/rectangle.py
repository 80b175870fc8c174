"""Share what all views of one rectangle have: size, channels, normalisation."""

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
    """Cut rectangles out of pictures, resize them to one size, and normalise them.

    channels: of the picture: how many, or which; None: all.
    nearest: channels of the picture that take the nearest pixel.
    kernel: of the other channels: "bicubic", "bilinear" or "bilinear-aliased"; see
        `views.resample`.

    Raises: ValueError for an unknown kernel, or if `nearest` are not among the channels.
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
            raise ValueError(
                f"{kind}: kernel: expected one of {known}, got {kernel!r}; choose one of them"
            )
        self.size, self.normalise = pair(size), Normalise(statistics)
        self.kernel = kernel
        self.channels, self.nearest = channels, tuple(nearest)
        taken = self._numbers
        if taken is not None and not set(self.nearest) <= set(taken):
            raise ValueError(
                f"{type(self).__name__}: nearest: expected some of the channels {taken}, got "
                f"{self.nearest}; add them to channels, or remove them"
            )

    def cut(self, images: Images, boxes: Int[Tensor, "B 4"]) -> Float[Tensor, "B C ..."]:
        """Cut the boxes out of pictures, in this view's channels and size: float32 [B C ...]."""
        images, nearest = self._taken(images)
        return resample(images, boxes, self.size, nearest, self.kernel)

    def cut_middle(self, images: Images, place: Middle) -> Float[Tensor, "B C ..."]:
        """Cut out the middle of pictures, in this view's channels and size: float32 [B C ...]."""
        images, nearest = self._taken(images)
        return resample_middle(images, place, self.size, nearest, self.kernel)

    def _taken(self, images: Images) -> tuple[Images, tuple[int, ...]]:
        """Return this view's channels, and which of them take the nearest pixel."""
        taken = self._numbers
        if taken is None:
            return images, self.nearest
        self._check(images)
        chosen = (
            images[:, taken] if isinstance(images, Tensor) else [image[taken] for image in images]
        )
        return chosen, tuple(map(taken.index, self.nearest))

    @property
    def _numbers(self) -> list[int] | None:
        """The channels of the picture that this view takes; None: all."""
        if isinstance(self.channels, int):
            return list(range(self.channels))
        return None if self.channels is None else list(self.channels)

    def _check(self, images: Images) -> None:
        count, most = images[0].shape[0], max(self._numbers or (0,))
        if most >= count:
            raise ConfigError(
                f"{type(self).__name__}: channels: expected numbers below {count}, the number of "
                f"the pictures' channels, got {most}; set data.Loader.channels = {most + 1}"
            )


def pair(size: int | tuple[int, int]) -> tuple[int, int]:
    """Return rows and columns of a size that may be one number."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])
