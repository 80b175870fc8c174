"""What a source of images is: numbered pictures or clips, with a label where there is one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pymim.data.about import About
from pymim.errors import DataError


class Sample(NamedTuple):
    """One picture [C H W] or clip [C T H W]: uint8, or float32 where 8 bits do not hold it; label -1 = none."""

    image: Tensor
    label: int


class Unreadable(Exception):
    """Picture `index` of a source cannot be decoded: the loader replaces it."""

    def __init__(self, index: int, reason: str):
        super().__init__(index, reason)
        self.index, self.reason = index, reason


def reason(error: Exception) -> str:
    """Say in one line what a decoder complains of: not where in memory a file was, but what kind of error it is
    where the words alone would not tell."""
    words = re.sub(r"<_io\.\w+ object at 0x\w+>", "the bytes", " ".join(str(error).split()))
    plain = words and isinstance(error, OSError | ValueError | DataError)
    return words if plain else f"{type(error).__name__}: {words}".rstrip(": ")


class Source(Protocol):
    """Pictures by number, picklable and cheap to copy into a worker.

    One whose pictures are of one size and lie in memory also has `take(index [B]) -> uint8 [B C H W]`: the loader
    then makes whole batches at once, in its own process. One of videos has `clip(index, moment)`, uint8 [C T H W]:
    the loader draws the moment in [0, 1), where in the video a clip begins, for each epoch anew. One whose pictures
    came with more than a label has `notes(index [B])`, arrays of numbers by name, their first axis B: a time, a
    ground distance, boxes. They reach targets as `Batch.notes`. One whose pixels are in floating point and not on
    [0, 1] may state in `range` what they lie between, (low, high); else it is measured. One that was read from
    files says in `about` which.
    """

    classes: list[str] | None
    labels: NDArray[np.int64] | None  # [N], -1 = none

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample:
        """Raises Unreadable where the picture is broken."""
        ...

    def path(self, index: int) -> str:
        """A name for picture `index`, for messages."""
        ...


def noted(source: Source, index: NDArray[np.int64]) -> dict[str, Tensor]:
    """Give what came with these pictures, by name; nothing where the source has no `notes`."""
    found = source.notes(index) if hasattr(source, "notes") else {}
    notes = {name: torch.as_tensor(value) for name, value in found.items()}
    for name, value in notes.items():
        if not value.ndim or len(value) != len(index):
            raise DataError(
                f"{type(source).__name__}.notes: {name}: expected one row for each of {len(index)} pictures, got "
                f"{list(value.shape)}; give it a first axis of pictures"
            )
    return notes


class Subset:
    """Some pictures of a source, renumbered."""

    def __init__(self, source: Source, ids: NDArray[np.int64]):
        self.source, self.ids = source, ids
        self.classes = source.classes
        self.labels = None if source.labels is None else source.labels[ids]
        self.about: About | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Sample:
        return self.source[int(self.ids[index])]

    def path(self, index: int) -> str:
        return self.source.path(int(self.ids[index]))

    def notes(self, index: NDArray[np.int64]) -> dict[str, Tensor]:
        """What came with these pictures."""
        return noted(self.source, self.ids[index])


class MemorySubset(Subset):
    """The same of a source that lies in memory."""

    def take(self, index: NDArray[np.int64]) -> Tensor | list[Tensor]:
        try:
            return self.source.take(self.ids[index])  # type: ignore[attr-defined, no-any-return]
        except Unreadable as error:
            raise Unreadable(int(np.flatnonzero(self.ids == error.index)[0]), error.reason) from None


class VideoSubset(Subset):
    """The same of a source of videos."""

    def clip(self, index: int, moment: float) -> Tensor:
        return self.source.clip(int(self.ids[index]), moment)  # type: ignore[attr-defined, no-any-return]


def subset(source: Source, ids: Sequence[int] | NDArray[np.int64]) -> Subset:
    """Pictures `ids` of a source, as a source."""
    kinds = {"take": MemorySubset, "clip": VideoSubset}
    kind = next((kind for method, kind in kinds.items() if hasattr(source, method)), Subset)
    return kind(source, np.asarray(ids, np.int64))


def hold_out(source: Source, split: str, every: int = 5) -> Source | None:
    """A source with labels and no test set of its own gives every fifth picture of each class for one.

    None where nothing is left to test on: no labels, or fewer than five pictures in every class.
    """
    if source.labels is None:
        return source if split == "train" else None
    rank = np.empty(len(source), np.int64)
    for label in np.unique(source.labels):
        of_class = np.flatnonzero(source.labels == label)
        rank[of_class] = np.arange(len(of_class)) if label >= 0 else 0
    held = rank % every == every - 1
    if not held.any():
        return source if split == "train" else None
    part = subset(source, np.flatnonzero(held == (split == "test")))
    which = "these are every fifth of each class" if split == "test" else "every fifth of each class is held out"
    part.about = About(notes=(f"{which}, as there is no test set",))
    return part
