"""Mean and standard deviation of each channel: python -m pymim.data.statistics DATA [CHANNELS]."""

from __future__ import annotations

import sys

import numpy as np
import torch
from torch import Tensor

from pymim.data.maker import read
from pymim.data.opening import open
from pymim.data.source import Source
from pymim.errors import DataError, PymimError

Statistics = tuple[tuple[float, ...], tuple[float, ...]]


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


def main(words: list[str]) -> int:
    """Prints them as a line of gin."""
    try:
        source = open(words[0], channels=int(words[1]) if len(words) > 1 else 3)
    except PymimError as error:
        print(f"pymim: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    assert source is not None, "there is always a training set"
    print(f"STATISTICS = {statistics(source)}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
