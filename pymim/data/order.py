"""In which order a run sees its pictures: position p of the run is picture p % N of the order of epoch p // N."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pymim.data import philox


@lru_cache(maxsize=2)
def permutation(seed: int, epoch: int, length: int) -> NDArray[np.int64]:
    """A shuffle of range(length), by sorting 64 random bits each."""
    words = philox.words(philox.Name(philox.key(seed, "order"), epoch, np.arange(length)), blocks=1)[:, 0]
    return np.argsort(words[:, 0].astype(np.uint64) << np.uint64(32) | words[:, 1], kind="stable")


def at(seed: int, first: int, count: int, length: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Index [count] and epoch [count] of positions first to first + count: epochs follow one another seamlessly, so
    no picture is dropped, and a batch may be larger than the source."""
    epoch, place = np.divmod(np.arange(first, first + count), length)
    index = np.empty(count, np.int64)
    for number in np.unique(epoch):
        index[epoch == number] = permutation(seed, int(number), length)[place[epoch == number]]
    return index, epoch
