"""Mean and standard deviation of each channel: what pixels are normalised by."""

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

Statistics = tuple[tuple[float, ...], tuple[float, ...]]
STILLS, CLIPS = 1000, 32  # that are looked at before a run


class Measured(NamedTuple):
    """Of every channel, float64 [C]."""

    mean: Tensor
    deviation: Tensor
    constant: Tensor  # bool: all pixels are equal: there is nothing to scale


def measured(
    source: Source | opening.Data,
    channels: int = 3,
    clip: Clip | None = None,
    known: Statistics | None = None,
) -> str | Statistics:
    """Those of the training set of what `data.open` takes: of embedded data by their name, of others measured on
    1,000 of the pictures, or 32 of the clips, the same ones in every process. Where all is shapes alone, as for
    --mode explain, nothing is read: "none".

    known: what was measured before, which is given as it is. A run writes it into its config.gin, so that whatever
        goes on with the run or looks at it has the same, also where the data are others by then, or absent.
    """
    if known is not None:
        return known
    if isinstance(source, str) and source in opening.NAMES:
        return source
    return "none" if torch.get_default_device().type == "meta" else _measured(source, channels, clip)  # type: ignore[arg-type]


@functools.lru_cache(maxsize=1)  # for each view of a run alike
def _measured(source: Source | opening.Data, channels: int, clip: Clip | None) -> Statistics:
    return statistics(opening.training_set(source, channels, clip), CLIPS if clip else STILLS)


def forget() -> None:
    """Measure anew, as the data of another run may bear the same name."""
    _measured.cache_clear()


def statistics(source: Source, pictures: int = 5000) -> Statistics:
    """(means, deviations) over all pixels of `pictures` random pictures of `source`, or all, each counting alike;
    of 8-bit pictures on [0, 1]. What `views` take as `statistics`.

    A channel that is constant is not scaled: its deviation is 1, and this is said. Raises DataError where a
    pixel is not finite, or pictures are broken.
    """
    found = _over(source, drawn(len(source), pictures))
    for channel, mean in enumerate(found.mean.tolist()):
        if found.constant[channel] and World.current().leads:
            print(  # noqa: T201
                f"statistics: channel {channel} of {len(found.mean)} (from 0) is constant, {mean:.4g} in all "
                "pixels: its mean is subtracted, and it is not scaled",
                file=sys.stderr,
            )
    deviations = torch.where(found.constant, 1.0, found.deviation).tolist()
    means = [_rounded(mean, std) for mean, std in zip(found.mean.tolist(), deviations, strict=True)]
    return tuple(means), tuple(_rounded(std, std) for std in deviations)


def _over(source: Source, wanted: np.ndarray) -> Measured:
    rows = []
    for some in np.array_split(wanted, -(-len(wanted) // 64)):
        images, index, broken = read(source, some, limit=len(some) - 1)
        if images is None:
            raise DataError(f"statistics: source: expected pictures, got {listed(broken)}; mend or remove them")
        rows += [_moments(image, source.path(i)) for image, i in zip(images, index.tolist(), strict=True)]
    first, second, low, high = torch.stack(rows).unbind(1)
    mean = first.mean(0)
    # Within pictures and between them: the difference of two large squares would be lost in rounding.
    variance = second.mean(0) + (first - mean).square().mean(0)
    constant = (low.amin(0) == high.amax(0)) | (variance.sqrt().float() == 0)  # pixels are float32
    return Measured(mean, variance.sqrt(), constant)


def _moments(image: Tensor, path: str) -> Tensor:
    """Mean, variance, least and largest value of each channel, float64 [4 C]. Raises DataError."""
    values = image.double().flatten(1) / (255 if image.dtype == torch.uint8 else 1)
    mean = values.mean(1)
    found = torch.stack((mean, (values - mean[:, None]).square().mean(1), values.amin(1), values.amax(1)))
    if not found.isfinite().all():
        wrong = values[~values.isfinite()]
        got = f"{wrong[0]:g}" if len(wrong) else "values whose square is not"
        raise DataError(f"statistics: {path}: expected finite pixels, got {got}; mend or remove the picture")
    return found


def _rounded(value: float, deviation: float) -> float:
    """To four digits, or more where the deviation is small beside the value."""
    finer = math.log10(abs(value) / deviation) if value and deviation else 0
    return float(f"{value:.{4 + max(0, int(finer) - 1)}g}")
