"""Order a run's pictures: each once an epoch, each group equally often, or in source order.

An order is a pure function of (seed, step, groups). It has no state that a checkpoint must save,
and every process and worker computes the same order.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pymim import philox

Ids = NDArray[np.int64]
REPEATS = 20  # bits of a visit number that count a picture's repeats within one epoch


class Shuffled:
    """Each picture once an epoch: position p of a run is picture p % N of epoch p // N."""

    def at(self, seed: int, step: int, batch: int, length: int) -> tuple[Ids, Ids]:
        """Return the dataset indices and the epochs of a step's positions, [batch] each."""
        return at(seed, step * batch, batch, length)


class InTurn:
    """The order of the source, repeated: for a pass over all pictures."""

    def at(self, seed: int, step: int, batch: int, length: int) -> tuple[Ids, Ids]:
        """Return the dataset indices and the passes of a step's positions, [batch] each."""
        visit, index = np.divmod(np.arange(step * batch, (step + 1) * batch), length)
        return index, visit


class Balanced:
    """Each group equally often, up to one picture, in each epoch of max(1, N // batch) steps.

    This is DeepCluster's sampling (Caron et al. 2018), uniform over the clusters. A group's
    pictures come in random order. If it has too few, they repeat: none comes twice before all have
    come, and repeats look different. If a group has more than its share, the rest waits for another
    epoch. Groups without pictures have no share; pictures in a negative group never come. Without
    groups this is a shuffle.

    Unlike the released code: its sampler emits dataset ids that are read as positions in a list
    sorted by cluster, so that clusters are drawn by their natural sizes after all.
    """

    def __init__(self) -> None:
        self.groups: Ids | None = None
        self._made: tuple[tuple[int, ...], tuple[Ids, Ids]] | None = None

    def regroup(self, groups: Ids) -> None:
        """Set the group, int64 [N], of each picture from here on.

        Raises: ValueError if every picture is in a negative group.
        """
        if not (groups >= 0).any():
            raise ValueError(
                "Balanced: groups: expected a picture in a group, got none; give at least one "
                "picture a group of 0 or more"
            )
        self.groups, self._made = groups, None

    def at(self, seed: int, step: int, batch: int, length: int) -> tuple[Ids, Ids]:
        """Return the dataset indices and the visits of a step's positions, [batch] each."""
        steps = max(1, length // batch)
        epoch, place = divmod(step, steps)
        name = (seed, epoch, steps * batch, length)
        if self._made is None or self._made[0] != name:
            self._made = name, self._epoch(*name)
        index, visit = (part[place * batch : (place + 1) * batch] for part in self._made[1])
        return index, visit

    def _epoch(self, seed: int, epoch: int, count: int, length: int) -> tuple[Ids, Ids]:
        """Return the index and visit, [count] each, of every position of an epoch.

        A visit is the epoch in the high bits and the picture's repeat within the epoch in the low
        ones.
        """
        groups = np.zeros(length, np.int64) if self.groups is None else self.groups
        # The algebra: a permutation of the positions deals them to the groups in turn, as cards
        # are dealt to players; each group then plays its own shuffled pictures in a circle.
        # 1. Sort pictures by group, at random in each: group g is members[first[g]:][:size[g]].
        shuffled = permutation(seed, epoch, length)
        members = shuffled[np.argsort(groups[shuffled], kind="stable")]
        members = members[groups[members] >= 0]
        first, size = runs(groups[members])
        # 2. Deal: position p has the number dealt[p], random and below count. Its remainder by the
        # number of groups is a group, its quotient the turn of that group. So every group has as
        # many turns as the others, up to one.
        dealt = permutation(philox.key(seed, "shares"), epoch, count)
        turn, player = np.divmod(dealt, len(size))
        # If the number of groups does not divide count, the first players have one turn more:
        # each epoch draws again which group is which player.
        group = permutation(philox.key(seed, "ranked"), epoch, len(size))[player]
        # 3. Play: a group with fewer pictures than turns begins again at its first picture.
        repeat, place = np.divmod(turn, size[group])
        return members[first[group] + place], (epoch << REPEATS) + repeat


@lru_cache(maxsize=4)
def permutation(seed: int, epoch: int, length: int) -> Ids:
    """Shuffle range(length) by sorting 64 random bits for each number."""
    words = philox.words(
        philox.Name(philox.key(seed, "order"), epoch, np.arange(length)), blocks=1
    )[:, 0]
    return np.argsort(words[:, 0].astype(np.uint64) << np.uint64(32) | words[:, 1], kind="stable")


def at(seed: int, first: int, count: int, length: int) -> tuple[Ids, Ids]:
    """Return index [count] and epoch [count] of the positions first to first + count.

    Epochs follow one another without a gap: no picture is dropped, and a batch may be larger than
    the source.
    """
    epoch, place = np.divmod(np.arange(first, first + count), length)
    index = np.empty(count, np.int64)
    for number in np.unique(epoch):
        index[epoch == number] = permutation(seed, int(number), length)[place[epoch == number]]
    return index, epoch


def repeats(index: Ids) -> Ids:
    """Count how often each picture of [count] came earlier in the list."""
    places = np.argsort(index, kind="stable")
    first, size = runs(index[places])
    found = np.empty(len(index), np.int64)
    found[places] = np.arange(len(index)) - np.repeat(first, size)
    return found


def runs(values: Ids) -> tuple[Ids, Ids]:
    """Return where each run of equal values begins, and its length; `values` are sorted."""
    begins = np.append(True, values[1:] != values[:-1])[: len(values)]
    first = np.flatnonzero(begins)
    return first, np.diff(np.append(first, len(values)))
