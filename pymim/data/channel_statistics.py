"""Measure the mean and standard deviation of each channel, and the range of the pixels."""

from __future__ import annotations

import functools
import math
import sys
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pymim.data import opening
from pymim.data.reading import listed, read
from pymim.data.sample import drawn
from pymim.data.source import Source
from pymim.data.videos import Clip
from pymim.errors import DataError
from pymim.world import World

Statistics = tuple[tuple[float, ...], ...]  # means, deviations, and (low, high) if not [0, 1]
STILLS, CLIPS = 1000, 32  # pictures or clips that are measured before a run


class Measured(NamedTuple):
    """Hold the measured statistics of each channel, float64 [C], and the range of all channels."""

    mean: Tensor
    deviation: Tensor
    constant: Tensor  # bool: all pixels are equal, so there is nothing to scale
    low: float  # smallest pixel of all channels
    high: float


def measured(
    source: Source | opening.Data,
    channels: int = 3,
    clip: Clip | None = None,
    known: Statistics | None = None,
) -> str | Statistics:
    """Measure the training set of what `data.open` takes; embedded data give their name.

    1,000 pictures or 32 clips are measured, the same ones in every process. On the meta device, as
    for --mode explain, nothing is read and the result is "none".

    source: what `data.open` takes, or what it gives.
    channels, clip: what `data.open` takes.
    known: an earlier result, returned as it is. A run writes it to its config.gin, so that whatever
        uses the run later has the same statistics, even if the data changed or are gone.
    """
    if known is not None:
        return known
    if isinstance(source, str) and source in opening.NAMES:
        return source
    if torch.get_default_device().type == "meta":
        return "none"
    return _measured(source, channels, clip)  # type: ignore[arg-type]


@functools.lru_cache(maxsize=1)  # all views of a run share one measurement
def _measured(source: Source | opening.Data, channels: int, clip: Clip | None) -> Statistics:
    return statistics(opening.training_set(source, channels, clip), CLIPS if clip else STILLS)


def forget() -> None:
    """Forget the measurement: another run's data may have the same name."""
    _measured.cache_clear()


def statistics(source: Source, pictures: int = 5000) -> Statistics:
    """Measure (means, deviations) over `pictures` random pictures, for `statistics` of views.

    Every picture counts the same; 8-bit pictures are on [0, 1]. If a pixel is outside [0, 1], the
    range (low, high) comes third: the source's attribute `range`, or the smallest and largest pixel
    found.

    A constant channel is not scaled: its deviation is 1, and a line is printed. Raises: DataError
    if a pixel is not finite, or all pictures of a chunk are broken.
    """
    found = _over(source, drawn(len(source), pictures))
    for channel, mean in enumerate(found.mean.tolist()):
        if found.constant[channel] and World.current().leads:
            print(  # noqa: T201
                f"statistics: channel {channel} of {len(found.mean)} (counted from 0) is constant, "
                f"{mean:.4g} in all pixels: its mean is subtracted, and it is not scaled",
                file=sys.stderr,
            )
    deviations = torch.where(found.constant, 1.0, found.deviation).tolist()
    means = [_rounded(mean, std) for mean, std in zip(found.mean.tolist(), deviations, strict=True)]
    measured = (tuple(means), tuple(_rounded(std, std) for std in deviations))
    low, high = stated_range(source) or (found.low, found.high)
    within = (low >= 0 and high <= 1) or low == high
    return measured if within else (*measured, (float(f"{low:.7g}"), float(f"{high:.7g}")))


def stated_range(source: Source) -> tuple[float, float] | None:
    """Return the attribute `range` of a source, or of the source it is made from."""
    while not hasattr(source, "range"):
        if not hasattr(source, "source"):
            return None
        source = source.source
    low, high = source.range
    return float(low), float(high)


def _over(source: Source, wanted: np.ndarray) -> Measured:
    rows = []
    for some in np.array_split(wanted, -(-len(wanted) // 64)):
        found = read(source, some, limit=len(some) - 1)
        if found.images is None:
            raise DataError(
                f"statistics: source: expected pictures, got {listed(found.broken)}; repair or "
                "remove them"
            )
        rows += [
            _of_picture(image, source.path(i))
            for image, i in zip(found.images, found.ids.tolist(), strict=True)
        ]
    means, variances = torch.stack(rows)[:, :2].unbind(1)
    low, high = torch.stack(rows)[:, 2:].unbind(1)
    mean = means.mean(0)
    # Add the variances within and between pictures: E x^2 - (E x)^2 would lose digits.
    variance = variances.mean(0) + (means - mean).square().mean(0)
    constant = (low.amin(0) == high.amax(0)) | (variance.sqrt().float() == 0)  # pixels are float32
    return Measured(mean, variance.sqrt(), constant, float(low.min()), float(high.max()))


def _of_picture(image: Tensor, path: str) -> Tensor:
    """Return mean, variance, smallest and largest value of each channel, float64 [4 C].

    Raises: DataError.
    """
    values = image.double().flatten(1) / (255 if image.dtype == torch.uint8 else 1)
    mean = values.mean(1)
    found = torch.stack(
        (mean, (values - mean[:, None]).square().mean(1), values.amin(1), values.amax(1))
    )
    if not found.isfinite().all():
        wrong = values[~values.isfinite()]
        got = f"{wrong[0]:g}" if len(wrong) else "values whose square is not"
        raise DataError(
            f"statistics: {path}: expected finite pixels, got {got}; repair or remove the picture"
        )
    return found


def _rounded(value: float, deviation: float) -> float:
    """Round to four digits, or more if the deviation is small compared with the value."""
    finer = math.log10(abs(value) / deviation) if value and deviation else 0
    return float(f"{value:.{4 + max(0, int(finer) - 1)}g}")
