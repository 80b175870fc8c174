"""What the labels of two splits allow probes to learn: classes, numbers of pictures, and what is
left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pymim.data.labels import some
from pymim.data.reading import labels
from pymim.data.sample import chosen
from pymim.data.source import Source

NAMED = 5  # most classes that a message lists


class Labels(NamedTuple):
    """The labels [N] of one split's pictures that probes see, below 0 for none.

    total: pictures of the split. unlabelled: how many of them have no label. kinds: classes of the
    split. names: class names by label.
    """

    seen: Tensor
    total: int
    unlabelled: int = 0
    kinds: int = 0
    names: Sequence[str] | None = None

    def classes(self) -> list[int]:
        """Give the classes of the pictures that probes see."""
        found: list[int] = self.seen[self.seen >= 0].unique().tolist()
        return found

    def named(self, classes: Sequence[int]) -> str:
        """List classes, by name if they have names."""
        names = self.names or ()
        return some([names[c] if c < len(names) else str(c) for c in classes], NAMED)

    def counted(self, items: str) -> str:
        """Give a text such as `5,000 images of 10 classes`."""
        count = len(self.classes())
        return f"{len(self.seen):,} {items} of {count:,} {'class' if count == 1 else 'classes'}"


def labels_of(source: Source | None, size: int) -> Labels:
    """Give the labels of the pictures that `data.load` draws from a source."""
    if source is None:
        return Labels(torch.empty(0, dtype=torch.int64), 0)
    index = chosen(source, size)
    known = np.empty(0, np.int64) if source.labels is None else source.labels[source.labels >= 0]
    return Labels(
        labels(source, index),
        len(source),
        len(source) - len(known),
        len(np.unique(known)),
        source.classes,
    )


def supervised(probe: Any) -> bool:
    """Tell whether a probe learns from training labels: yes, unless it says otherwise."""
    return bool(getattr(probe, "supervised", True))


def obstacle(test: Labels) -> str:
    """Say why no probe can be measured; "" if one can."""
    if not test.classes():
        return (
            "no picture of the test set has a label; "
            "use class folders or a parquet file with labels"
        )
    return ""


def hindrance(train: Labels, test: Labels) -> str:
    """Say why no supervised probe can be measured; "" if one can."""
    known = train.classes()
    if not known:
        return "no picture of the training set has a label"
    if len(known) == 1:
        return f"all labelled pictures of the training set are of one class, {train.named(known)}"
    if not set(known) & set(test.classes()):
        return (
            f"no class of the test set ({test.named(test.classes())}) is among the classes of the "
            f"training set ({train.named(known)})"
        )
    return ""


def remarks(train: Labels, test: Labels, items: str) -> list[str]:
    """Say what in the two splits does not count as it seems to."""
    found = [
        f"{side.unlabelled:,} of {side.total:,} {word} {items} have no label and are left out"
        for word, side in (("training", train), ("test", test))
        if side.unlabelled and side.classes()
    ]
    found += [
        f"{len(side.seen):,} {word} {items} have {len(side.classes()):,} of {side.kinds:,} "
        f"classes: raise Evaluation.{name} to {side.kinds:,} or more"
        for word, name, side in (("training", "train_images", train), ("test", "test_images", test))
        if len(side.classes()) < side.kinds
    ]
    known = set(train.classes())
    unknown = [c for c in test.classes() if c not in known]
    if known and unknown:
        rows = int(torch.isin(test.seen, torch.tensor(unknown)).sum())
        found.append(
            f"{len(unknown):,} of {len(test.classes()):,} classes of the test set are not in the "
            f"training {items} that are used ({test.named(unknown)}): "
            f"their {rows:,} {items} count as errors"
        )
    if len(test.classes()) == 1:
        found.append(f"all test {items} are of one class, {test.named(test.classes())}")
    return found


def renumbered(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """Number labels 0, 1, ... by the classes of the training split, then others, so that heads need
    no spare outputs.

    If the training split has all classes 0 to K - 1, labels stay. Labels below 0 stay.
    """
    classes = train[train >= 0].unique()
    others = test[test >= 0].unique()
    # Row k of the table is the label that gets number k. Labels may be as large as 2^62, so they
    # are found by binary search, not by an array with a row for each.
    table = torch.cat([classes, others[~torch.isin(others, classes)]])
    order = table.argsort()
    found = [
        torch.where(part < 0, part, _place(table[order], order, part)) for part in (train, test)
    ]
    return found[0], found[1]


def _place(ascending: Tensor, order: Tensor, labels: Tensor) -> Tensor:
    at = torch.searchsorted(ascending, labels).clamp_max(len(ascending) - 1)
    return order[at]
