"""Small pictures of one size, decoded once and kept: batches of them are made all at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pymim.data.source import Sample, Source, Unreadable, noted
from pymim.errors import DataError

PROBED = 16


class Memory:
    """`source`, each picture of it [C H W] of the same `shape` and kept as uint8 once it was read."""

    def __init__(self, source: Source, shape: tuple[int, ...]):
        self.source, self.shape = source, shape
        self.classes, self.labels = source.classes, source.labels
        self._forget()

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Sample:
        return self.source[index]

    def path(self, index: int) -> str:
        return self.source.path(index)

    def notes(self, index: NDArray[np.int64]) -> dict[str, Tensor]:
        """What came with these pictures."""
        return noted(self.source, index)

    def take(self, index: NDArray[np.int64]) -> Tensor:
        """Pictures uint8 [B C H W]."""
        for i in np.unique(index[~self.known[index]]).tolist():
            image = self.source[i].image
            if image.shape != self.shape or image.dtype != torch.uint8:
                raise DataError(
                    f"Memory: {self.path(i)}: expected uint8 {list(self.shape)} like the others, "
                    f"got {image.dtype} {list(image.shape)}; open the source with memory = 0"
                )
            self.pixels[i] = image
            self.known[i] = True
        return self.pixels[torch.from_numpy(index)]

    def _forget(self) -> None:
        self.pixels = torch.empty((len(self.source), *self.shape), dtype=torch.uint8)
        self.known = np.zeros(len(self.source), np.bool_)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("pixels", "known")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()


def remembered(source: Source, limit: int) -> Source:
    """`source` in memory, where a few pictures of it have one size and all would fit in `limit` bytes."""
    if hasattr(source, "take") or hasattr(source, "clip"):
        return source
    shapes, kinds = set(), set()
    for i in np.linspace(0, len(source) - 1, PROBED).astype(int).tolist():
        try:
            image = source[i].image
        except Unreadable:
            continue
        shapes.add(tuple(image.shape))
        kinds.add(image.dtype)
    if len(shapes) != 1 or kinds != {torch.uint8} or len(source) * int(np.prod(next(iter(shapes)))) > limit:
        return source
    return Memory(source, shapes.pop())
