"""Draw which pictures to use if not all are needed: by a seed, each class in proportion.

They are never evenly spaced: if labels, cameras or scenes alternate, a stride sees only some.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pymim import philox
from pymim.checks import whole
from pymim.data.order import Ids, permutation, runs

if TYPE_CHECKING:
    from pymim.data.source import Source


def chosen(source: Source, size: int, seed: int = 0) -> Ids:
    """Draw up to `size` pictures of a source, only labelled ones if it has labels."""
    if source.labels is None or not (source.labels >= 0).any():
        return drawn(len(source), size, seed)
    return stratified(source.labels, size, seed)


def drawn(length: int, size: int, seed: int = 0) -> Ids:
    """Draw `size` numbers of range(length), ascending, or all if there are no more.

    Raises: ValueError.
    """
    whole("sample", 1, size=size)
    if size >= length:
        return np.arange(length)
    return np.sort(permutation(philox.key(seed, "sample"), 0, length)[:size])


def stratified(labels: NDArray[np.int64], size: int, seed: int = 0) -> Ids:
    """Draw `size` labelled rows, ascending: each class in proportion, at least one row each.

    labels: [N]; rows below 0 have no label and are never drawn.
    size: if it reaches the labelled rows, all are returned. If it is below the number of classes,
        the seed draws the classes, one row each; they are the same in every set with these labels.

    Raises: ValueError.
    """
    whole("sample", 1, size=size)
    known = np.flatnonzero(labels >= 0)
    if size >= len(known):
        return known
    classes, counts = np.unique(labels[known], return_counts=True)
    rows, place = _by_class(labels[known], seed)
    most = shares(counts, size, _rank(classes, seed))
    return np.sort(known[rows[place < np.repeat(most, counts)]])


def of_each(labels: NDArray[np.int64], count: int, seed: int = 0) -> Ids:
    """Draw up to `count` rows of every class, class by class, ascending in each.

    Raises: ValueError.
    """
    whole("sample", 1, count=count)
    known = np.flatnonzero(labels >= 0)
    rows, place = _by_class(labels[known], seed)
    taken = np.sort(known[rows[place < count]])
    return taken[np.argsort(labels[taken], kind="stable")]


def shares(counts: NDArray[np.int64], size: int, rank: NDArray[np.int64]) -> NDArray[np.int64]:
    """Divide `size` among classes by largest remainder (Hamilton 1792), at least one each.

    counts: rows of each class. rank: order of classes with equal remainders, and which classes come
        first if there are more classes than `size`.
    """
    if size < len(counts):
        return (np.argsort(np.argsort(rank)) < size).astype(np.int64)
    small = np.zeros(len(counts), np.bool_)
    # Classes with a share below one get one at the cost of the others: repeat until none is below.
    while True:
        rest, total = size - small.sum(), counts[~small].sum()
        few = ~small & (rest * counts < total)
        if not few.any():
            break
        small |= few
    quota, remainder = np.divmod(rest * counts, total)
    found = np.where(small, 1, quota)
    first = np.lexsort((rank, np.where(small, 1, -remainder)))
    found[first[: size - found.sum()]] += 1
    return found


def _by_class(labels: NDArray[np.int64], seed: int) -> tuple[Ids, Ids]:
    """Return rows class by class, in random order in each, and each row's place in its class."""
    mixed = permutation(philox.key(seed, "sample"), 0, len(labels))
    rows = mixed[np.argsort(labels[mixed], kind="stable")]
    first, counts = runs(labels[rows])
    return rows, np.arange(len(rows)) - np.repeat(first, counts)


def _rank(classes: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return a random number for each class that depends only on its label and the seed."""
    return philox.words(philox.Name(philox.key(seed, "classes"), 0, classes), blocks=1)[
        :, 0, 0
    ].astype(np.int64)
