"""Which pictures are looked at where not all are: drawn by a seed, each class in its proportion.

Never evenly spaced ones: where labels, cameras or scenes come in turn, a stride sees some of them alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pymim import philox
from pymim.checks import whole
from pymim.data.order import Ids, permutation

if TYPE_CHECKING:
    from pymim.data.source import Source


def chosen(source: Source, size: int, seed: int = 0) -> Ids:
    """Draw up to `size` pictures of a source: of those with a label where there are any, else of all."""
    if source.labels is None or not (source.labels >= 0).any():
        return drawn(len(source), size, seed)
    return stratified(source.labels, size, seed)


def drawn(length: int, size: int, seed: int = 0) -> Ids:
    """Draw `size` numbers of range(length), ascending; all where there are no more. Raises ValueError."""
    whole("sample", 1, size=size)
    if size >= length:
        return np.arange(length)
    return np.sort(permutation(philox.key(seed, "sample"), 0, length)[:size])


def stratified(labels: NDArray[np.int64], size: int, seed: int = 0) -> Ids:
    """Draw `size` rows with a label, ascending: of each class its share, at least one.

    labels: [N], below 0 where a row has none: it is never drawn. size: all labelled rows where there
    are no more; where it is below the number of classes, one row each of classes that the seed draws,
    which are the same ones in every set with these labels. Raises ValueError.
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
    """Draw up to `count` rows of every class, class after class, ascending in each. Raises ValueError."""
    whole("sample", 1, count=count)
    known = np.flatnonzero(labels >= 0)
    rows, place = _by_class(labels[known], seed)
    taken = np.sort(known[rows[place < count]])
    return taken[np.argsort(labels[taken], kind="stable")]


def shares(counts: NDArray[np.int64], size: int, rank: NDArray[np.int64]) -> NDArray[np.int64]:
    """Divide `size` among classes of these counts by largest remainder (Hamilton 1792), at least one each.

    rank: which class comes first among equals, and at all where there are more classes than `size`.
    """
    if size < len(counts):
        return (np.argsort(np.argsort(rank)) < size).astype(np.int64)
    small = np.zeros(len(counts), np.bool_)
    while True:  # what classes below one are given, the others lack: some of these may fall below one
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
    """Rows class after class, in each in random order; and the place of each within its class."""
    mixed = permutation(philox.key(seed, "sample"), 0, len(labels))
    rows = mixed[np.argsort(labels[mixed], kind="stable")]
    _, first, counts = np.unique(labels[rows], return_index=True, return_counts=True)
    return rows, np.arange(len(rows)) - np.repeat(first, counts)


def _rank(classes: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """A random number for each class, by its label alone."""
    return philox.words(philox.Name(philox.key(seed, "classes"), 0, classes), blocks=1)[:, 0, 0].astype(np.int64)
