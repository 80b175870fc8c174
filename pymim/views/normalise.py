"""Normalise pixels by each channel's mean and deviation, 8-bit pixels on [0, 1].

Pixels may have another range than [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

OVERSHOOT = 0.25  # bicubic pixels at edges may be this far outside [0, 1]

Statistics = str | Sequence[Sequence[float]]

BY_NAME: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "none": ((0.0,), (1.0,)),
    "half": ((0.5,), (0.5,)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "digits": ((0.063,), (0.148,)),
    "digits-black": ((0.063,), (0.148,)),
    "digits-plain": ((0.499,), (0.272,)),
    "digits-photo": ((0.435, 0.452, 0.413), (0.344, 0.277, 0.301)),
    "digits-moving": ((0.436, 0.446, 0.401), (0.356, 0.282, 0.304)),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
}


class Normalise:
    """Compute (x - mean) / std for each channel.

    statistics: a name, or (means, deviations), or (means, deviations, (low, high)); one number
        serves all channels. low and high: the range of pixels if not [0, 1], such as 0 to 255 in
        floating point, or Hounsfield units. Changes of colour and drawings use it.

    Raises: ValueError if the statistics are none of these.
    """

    def __init__(self, statistics: Statistics = "imagenet"):
        found = BY_NAME.get(statistics) if isinstance(statistics, str) else statistics
        if not isinstance(found, Sequence) or len(found) not in (2, 3):
            known = ", ".join(BY_NAME)
            raise ValueError(
                f"Normalise: statistics: expected one of {known} or (means, deviations), got "
                f"{statistics!r}; leave STATISTICS unset to measure those of DATA"
            )
        self.range = _range(found[2]) if len(found) == 3 else None
        try:
            means, deviations = (
                torch.tensor(each, dtype=torch.float32, device="cpu").reshape(-1)
                for each in found[:2]
            )
        except (TypeError, ValueError):
            raise ValueError(
                f"Normalise: statistics: expected numbers, got {statistics!r}; write ((means,), "
                "(deviations,))"
            ) from None
        _check(means, deviations)
        device = torch.get_default_device()  # "meta" for --mode explain, which only needs shapes
        self.mean, self.std = means.to(device), deviations.to(device)

    def __str__(self) -> str:
        mean, std = (
            " ".join(f"{value:.4g}" for value in each.tolist()) for each in (self.mean, self.std)
        )
        range = "" if self.range is None else f", range {self.range[0]:.4g} to {self.range[1]:.4g}"
        return f"mean {mean}, deviation {std}{range}"

    def __call__(self, images: Tensor) -> Tensor:
        """Normalise float32 images [B C ...] in place."""
        mean, std = self._for(images)
        return images.sub_(mean).div_(std)

    def undo(self, images: Tensor) -> Tensor:
        """Return images on [0, 1], for drawing, as a new tensor."""
        return self.to_unit(self.back(images))

    def back(self, images: Tensor) -> Tensor:
        """Return the source's pixels, as a new tensor."""
        mean, std = self._for(images)
        return images * std + mean

    def to_unit(self, pixels: Tensor) -> Tensor:
        """Map the source's range of pixels to [0, 1]."""
        return (
            pixels
            if self.range is None
            else (pixels - self.range[0]) / (self.range[1] - self.range[0])
        )

    def from_unit(self, pixels: Tensor) -> Tensor:
        """Map [0, 1] to the source's range of pixels."""
        return (
            pixels
            if self.range is None
            else pixels * (self.range[1] - self.range[0]) + self.range[0]
        )

    def _for(self, images: Tensor) -> tuple[Tensor, Tensor]:
        given = max(len(self.mean), len(self.std))
        if given not in (1, images.shape[1]):
            raise ValueError(
                f"Normalise: statistics: expected {images.shape[1]} channels, got {given}; "
                "measure them with python -m pymim.data.statistics DATA"
            )
        shape = (-1,) + (1,) * (images.ndim - 2)
        return self.mean.to(images.device).view(shape), self.std.to(images.device).view(shape)


def _range(found: Sequence[float]) -> tuple[float, float]:
    """Return low and high. Raises: ValueError if they are no range."""
    if (
        not isinstance(found, Sequence)
        or len(found) != 2
        or not -math.inf < found[0] < found[1] < math.inf
    ):
        raise ValueError(
            f"Normalise: statistics: expected a range (low, high), low below high, got {found!r}; "
            "leave STATISTICS unset to measure those of DATA"
        )
    return float(found[0]), float(found[1])


def _check(means: Tensor, deviations: Tensor) -> None:
    """Refuse statistics that lack a channel or give pixels that are not finite.

    Raises: ValueError.
    """
    if len(means) != len(deviations) and 1 not in (len(means), len(deviations)):
        raise ValueError(
            f"Normalise: statistics: expected as many means as deviations, got {len(means)} and "
            f"{len(deviations)}; write one of each for every channel"
        )
    for mean, std in zip(*torch.broadcast_tensors(means, deviations), strict=True):
        if not (math.isfinite(mean) and math.isfinite(std) and std > 0):
            raise ValueError(
                f"Normalise: statistics: expected finite means and deviations above 0, got mean "
                f"{mean:.4g} and deviation {std:.4g}; write 1 as the deviation of a constant "
                "channel"
            )
