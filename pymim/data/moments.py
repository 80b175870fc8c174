"""Mean and standard deviation of each channel: what pixels are normalised by."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

from pymim.data import opening
from pymim.data.reading import read
from pymim.data.source import Source
from pymim.data.videos import Clip
from pymim.errors import DataError

Statistics = tuple[tuple[float, ...], tuple[float, ...]]
STILLS, CLIPS = 1000, 32  # that are looked at before a run


def measured(source: Source | opening.Data, channels: int = 3, clip: Clip | None = None) -> str | Statistics:
    """Those of the training set of what `data.open` takes: of embedded data by their name, of others measured on
    1,000 of the pictures, or 32 of the clips, the same ones in every process and whenever a run goes on. Where all
    is shapes alone, as for --mode explain, nothing is read: "none"."""
    if isinstance(source, str) and source in opening.NAMES:
        return source
    return "none" if torch.get_default_device().type == "meta" else _measured(source, channels, clip)  # type: ignore[arg-type]


@functools.lru_cache(maxsize=1)  # for each view of a run alike
def _measured(source: Source | opening.Data, channels: int, clip: Clip | None) -> Statistics:
    return statistics(opening.training_set(source, channels, clip), CLIPS if clip else STILLS)


def statistics(source: Source, pictures: int = 5000) -> Statistics:
    """(means, deviations) over all pixels of `pictures` pictures spread evenly over `source`, each counting alike;
    of 8-bit pictures on [0, 1]. What `views` take as `statistics`."""
    count = min(pictures, len(source))
    moments = []
    for wanted in np.array_split(np.arange(count) * len(source) // count, -(-count // 64)):
        images, _, _ = read(source, wanted, limit=len(wanted) - 1)
        if images is None:
            raise DataError(f"statistics: source: expected pictures, got {len(wanted)} broken ones; mend them")
        moments += [_moments(image) for image in images]
    first, second = torch.stack(moments).mean(0)
    std = (second - first.square()).clamp_min(0).sqrt()
    return tuple(_rounded(first)), tuple(_rounded(std))


def _moments(image: Tensor) -> Tensor:
    """Means of x and of x^2, float64 [2 C]."""
    values = image.double().flatten(1) / (255 if image.dtype == torch.uint8 else 1)
    return torch.stack((values.mean(1), values.square().mean(1)))


def _rounded(values: Tensor) -> list[float]:
    return [float(f"{value:.4g}") for value in values.tolist()]
