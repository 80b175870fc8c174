"""Define a source: numbered pictures or clips, with a label if there is one."""

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
    """One picture [C H W] or clip [C T H W]; label -1 = none.

    The image is uint8, or float32 if it needs more than 8 bits.
    """

    image: Tensor
    label: int


class Unreadable(Exception):
    """Picture `index` of a source cannot be decoded: the loader replaces it."""

    def __init__(self, index: int, reason: str):
        super().__init__(index, reason)
        self.index, self.reason = index, reason


def reason(error: Exception) -> str:
    """Say in one line what a decoder complains of.

    The file's address in memory is left out, and the class of the error is added if the text alone
    does not tell.
    """
    words = re.sub(r"<_io\.\w+ object at 0x\w+>", "the bytes", " ".join(str(error).split()))
    plain = words and isinstance(error, OSError | ValueError | DataError)
    return words if plain else f"{type(error).__name__}: {words}".rstrip(": ")


class Source(Protocol):
    """Pictures by number, picklable and cheap to copy into a worker.

    A source may also have:

    - `take(index [B]) -> uint8 [B C H W]`: its pictures have one size and are in memory. The loader
      then makes whole batches at once, in its own process.
    - `clip(index, start) -> uint8 [C T H W]`: it holds videos. The loader draws the start, on [0,
      1), at which a clip begins, for each epoch.
    - `notes(index [B])`: arrays of numbers by name, first axis B, such as a time, a distance or
      boxes. They reach targets as `Batch.notes`.
    - `range`: (low, high), the limits of floating-point pixels if not [0, 1]; else it is measured.
    - `about`: the files it was read from.
    """

    classes: list[str] | None
    labels: NDArray[np.int64] | None  # [N], -1 = none

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample:
        """Return a picture. Raises: Unreadable if it is broken."""
        ...

    def path(self, index: int) -> str:
        """Return a name for picture `index`, for messages."""
        ...


def noted(source: Source, index: NDArray[np.int64]) -> dict[str, Tensor]:
    """Return the notes of these pictures by name; none if the source has no `notes`.

    Raises: DataError if a note has not one row for each picture.
    """
    found = source.notes(index) if hasattr(source, "notes") else {}
    notes = {name: torch.as_tensor(value) for name, value in found.items()}
    for name, value in notes.items():
        if not value.ndim or len(value) != len(index):
            raise DataError(
                f"{type(source).__name__}.notes: {name}: expected one row for each of {len(index)} "
                f"pictures, got {list(value.shape)}; make pictures the first axis"
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
        """Return the source's name for picture `index`."""
        return self.source.path(int(self.ids[index]))

    def notes(self, index: NDArray[np.int64]) -> dict[str, Tensor]:
        """Return the notes of these pictures."""
        return noted(self.source, self.ids[index])


class MemorySubset(Subset):
    """Some pictures of a source in memory, renumbered."""

    def take(self, index: NDArray[np.int64]) -> Tensor | list[Tensor]:
        """Return pictures uint8 [B C H W] from memory."""
        try:
            return self.source.take(self.ids[index])  # type: ignore[attr-defined, no-any-return]
        except Unreadable as error:
            raise Unreadable(
                int(np.flatnonzero(self.ids == error.index)[0]), error.reason
            ) from None


class VideoSubset(Subset):
    """Some videos of a source, renumbered."""

    def clip(self, index: int, start: float) -> Tensor:
        """Decode a clip of video `index`, uint8 [C T H W]; start on [0, 1) chooses its start."""
        number = int(self.ids[index])
        return self.source.clip(number, start)  # type: ignore[attr-defined, no-any-return]


def subset(source: Source, ids: Sequence[int] | NDArray[np.int64]) -> Subset:
    """Return the pictures `ids` of a source as a source."""
    kinds = {"take": MemorySubset, "clip": VideoSubset}
    kind = next((kind for method, kind in kinds.items() if hasattr(source, method)), Subset)
    return kind(source, np.asarray(ids, np.int64))


def hold_out(source: Source, split: str, every: int = 5) -> Source | None:
    """Split a labelled source without a test set: every fifth picture of each class is for testing.

    Returns None for "test" if nothing is left to test on: no labels, or fewer than five pictures in
    every class.
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
    which = (
        "these are every fifth of each class"
        if split == "test"
        else "every fifth of each class is held out"
    )
    part.about = About(notes=(f"{which}, as there is no test set",))
    return part
