"""In which order a run sees its pictures: every picture once an epoch, each group equally often, or as they lie.

An order is a pure function of (seed, step, groups): it holds no state of its own that a checkpoint would have to
save, and every process and worker computes the same one.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pymim import philox

Ids = NDArray[np.int64]
REPEATS = 20  # bits: how often a picture may come in one epoch


class Shuffled:
    """Every picture once an epoch: position p of the run is picture p % N of the order of epoch p // N."""

    def at(self, seed: int, step: int, batch: int, length: int) -> tuple[Ids, Ids]:
        return at(seed, step * batch, batch, length)


class InTurn:
    """As they lie in the source, round and round: for a pass over all of them."""

    def at(self, seed: int, step: int, batch: int, length: int) -> tuple[Ids, Ids]:
        visit, index = np.divmod(np.arange(step * batch, (step + 1) * batch), length)
        return index, visit


class Balanced:
    """Every group equally often in each epoch of max(1, N // batch) whole steps, up to one picture more or less, as
    DeepCluster draws (Caron et al. 2018): uniformly over the clusters.

    A group's pictures come in random order, and again from the first where it has too few: none comes twice before
    all have come, and repeats look different. Where a group has more than its share, the rest waits for another
    epoch. Groups without a picture take no share; pictures in a negative group never come. Without groups there is
    one: a shuffle.

    Unlike the released code, whose sampler emits dataset ids that are read as positions in a list sorted by
    cluster, so that clusters are served by their natural sizes after all.
    """

    def __init__(self) -> None:
        self.groups: Ids | None = None
        self._made: tuple[tuple[int, ...], tuple[Ids, Ids]] | None = None

    def regroup(self, groups: Ids) -> None:
        """Which group, int64 [N], each picture is in, from here on."""
        if not (groups >= 0).any():
            raise ValueError("Balanced: groups: expected a picture in a group, got none; label one with 0 or more")
        self.groups, self._made = groups, None

    def at(self, seed: int, step: int, batch: int, length: int) -> tuple[Ids, Ids]:
        steps = max(1, length // batch)
        epoch, place = divmod(step, steps)
        name = (seed, epoch, steps * batch, length)
        if self._made is None or self._made[0] != name:
            self._made = name, self._epoch(*name)
        index, visit = (part[place * batch : (place + 1) * batch] for part in self._made[1])
        return index, visit

    def _epoch(self, seed: int, epoch: int, count: int, length: int) -> tuple[Ids, Ids]:
        """Index and visit, [count] each."""
        groups = np.zeros(length, np.int64) if self.groups is None else self.groups
        shuffled = permutation(seed, epoch, length)
        members = shuffled[np.argsort(groups[shuffled], kind="stable")]
        members = members[groups[members] >= 0]
        _, first, size = np.unique(groups[members], return_index=True, return_counts=True)
        mixed = permutation(philox.key(seed, "shares"), epoch, count)
        # The first groups have one place more where their number does not divide: which are first is drawn anew.
        ranked = permutation(philox.key(seed, "ranked"), epoch, len(size))
        group, turn = ranked[mixed % len(size)], mixed // len(size)
        repeat, place = np.divmod(turn, size[group])
        return members[first[group] + place], (epoch << REPEATS) + repeat


@lru_cache(maxsize=4)
def permutation(seed: int, epoch: int, length: int) -> Ids:
    """A shuffle of range(length), by sorting 64 random bits each."""
    words = philox.words(philox.Name(philox.key(seed, "order"), epoch, np.arange(length)), blocks=1)[:, 0]
    return np.argsort(words[:, 0].astype(np.uint64) << np.uint64(32) | words[:, 1], kind="stable")


def at(seed: int, first: int, count: int, length: int) -> tuple[Ids, Ids]:
    """Index [count] and epoch [count] of positions first to first + count: epochs follow one another seamlessly, so
    no picture is dropped, and a batch may be larger than the source."""
    epoch, place = np.divmod(np.arange(first, first + count), length)
    index = np.empty(count, np.int64)
    for number in np.unique(epoch):
        index[epoch == number] = permutation(seed, int(number), length)[place[epoch == number]]
    return index, epoch


def repeats(index: Ids) -> Ids:
    """How often each of the pictures [count] came earlier among them."""
    places = np.argsort(index, kind="stable")
    sorted_ids, number = index[places], np.arange(len(index))
    begins = np.concatenate(([True], sorted_ids[1:] != sorted_ids[:-1]))[: len(index)]
    found = np.empty(len(index), np.int64)
    found[places] = number - np.maximum.accumulate(np.where(begins, number, 0))
    return found
