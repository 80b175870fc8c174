"""Keep small pictures of one size in memory, decoded once, so that batches are made at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pymim.data.log import log
from pymim.data.source import Sample, Source, Unreadable, noted

PROBED = 16  # pictures whose size is compared


class Memory:
    """Keep the pictures [C H W] of `source` as uint8 once read, if they have this `shape`."""

    def __init__(self, source: Source, shape: tuple[int, ...]):
        self.source, self.shape = source, shape
        self.classes, self.labels = source.classes, source.labels
        self.warned = False
        self._forget()

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Sample:
        return self.source[index]

    def path(self, index: int) -> str:
        """Return the source's name for picture `index`."""
        return self.source.path(index)

    def notes(self, index: NDArray[np.int64]) -> dict[str, Tensor]:
        """Return the notes of these pictures."""
        return noted(self.source, index)

    def take(self, index: NDArray[np.int64]) -> Tensor | list[Tensor]:
        """Return pictures uint8 [B C H W].

        If one of them has another shape or type than the others, returns B pictures [C h w]
        instead.
        """
        others = {
            i: image
            for i in np.unique(index[~self.known[index]]).tolist()
            if (image := self._read(i)) is not None
        }
        kept = self.pixels[torch.from_numpy(index)]
        return (
            [others.get(i, image) for i, image in zip(index.tolist(), kept, strict=True)]
            if others
            else kept
        )

    def _read(self, index: int) -> Tensor | None:
        """Read a picture and keep it; return it if it cannot be kept."""
        image = self.source[index].image
        if image.shape != self.shape or image.dtype != torch.uint8:
            self._say(index, image)
            return image
        self.pixels[index] = image
        self.known[index] = True
        return None

    def _say(self, index: int, image: Tensor) -> None:
        if self.warned:
            return
        self.warned = True
        log.warning(
            "%s is %s %s, the others are uint8 %s: pictures unlike the others are not kept in "
            "memory but read each time, by one thread unless data.Loader.workers is set",
            self.path(index),
            str(image.dtype).removeprefix("torch."),
            list(image.shape),
            list(self.shape),
        )

    def _forget(self) -> None:
        self.pixels = torch.empty((len(self.source), *self.shape), dtype=torch.uint8)
        self.known = np.zeros(len(self.source), np.bool_)

    def __getstate__(self) -> dict[str, Any]:
        return {
            key: value for key, value in self.__dict__.items() if key not in ("pixels", "known")
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()


def remembered(source: Source, limit: int) -> Source:
    """Wrap `source` in Memory if sampled pictures have one size and all fit in `limit` bytes."""
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
    if (
        len(shapes) != 1
        or kinds != {torch.uint8}
        or len(source) * int(np.prod(next(iter(shapes)))) > limit
    ):
        return source
    return Memory(source, shapes.pop())
