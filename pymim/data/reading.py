"""Read pictures of a source by number, with their notes; replace broken ones by the next."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pymim.data.source import Source, Unreadable
from pymim.errors import DataError, OutOfMemory, PymimError

Broken = dict[str, str]  # path: what is wrong with the file
Starts = list[float | None]  # where in each video a clip begins, on [0, 1); None for pictures
Done = dict[tuple[int, float | None], Tensor]
Pictures = Tensor | list[Tensor]  # [B C H W], or B times [C h w]


class Read(NamedTuple):
    """Pictures as read, the id of each, and the broken files: path -> what is wrong.

    images: None if too many are broken.
    """

    images: Pictures | None
    ids: NDArray[np.int64]
    broken: Broken


def read(
    source: Source, wanted: NDArray[np.int64], limit: int, starts: Starts | None = None
) -> Read:
    """Read pictures uint8 [B C H W], or B times [C h w] if sizes may differ, and their indices.

    A broken picture is replaced by the next good one. Returns no pictures if more than `limit` are
    broken.
    """
    index, done = wanted.copy(), Done()
    broken: dict[int, str] = {}
    starts = starts or [None] * len(wanted)
    while len(broken) <= limit:
        try:
            images = (
                _taken(source, index)
                if hasattr(source, "take")
                else _decode(source, index, starts, done)
            )
            return Read(images, index, _by_path(source, broken))
        except Unreadable as error:
            broken[error.index] = " ".join(error.reason.split()) or "no reason given"
            index[index == error.index] = (error.index + 1) % len(source)
    return Read(None, index, _by_path(source, broken))


def _by_path(source: Source, broken: dict[int, str]) -> Broken:
    return {source.path(index): reason for index, reason in broken.items()}


def listed(broken: Broken, most: int = 3) -> str:
    """Say how many pictures are broken, and why the first few are."""
    some = [f"{path}: {reason}" for path, reason in list(broken.items())[:most]]
    rest = [f"and {len(broken) - most} more"] if len(broken) > most else []
    return f"{len(broken)} broken pictures ({'; '.join(some + rest)})"


def _decode(source: Source, index: NDArray[np.int64], starts: Starts, done: Done) -> list[Tensor]:
    """Decode pictures one by one; `done` keeps those of an earlier attempt."""
    wanted = list(zip(index.tolist(), starts, strict=True))
    for one in wanted:
        if one not in done:
            done[one] = _one(source, *one)
    return [done[one] for one in wanted]


def _one(source: Source, index: int, start: float | None) -> Tensor:
    try:
        if start is None:
            return source[index].image
        return source.clip(index, start)  # type: ignore[attr-defined, no-any-return]
    except Unreadable as error:
        raise Unreadable(index, error.reason) from None
    except Exception as error:
        raise _told(error, source.path(index)) from error


def _taken(source: Source, index: NDArray[np.int64]) -> Pictures:
    try:
        return source.take(index)  # type: ignore[attr-defined, no-any-return]
    except Unreadable:
        raise
    except Exception as error:
        raise _told(error, f"{type(source).__name__}.take") from error


def _told(error: Exception, where: str) -> PymimError:
    """Turn an error that is not a broken picture into a message: no memory, or a bad source."""
    if isinstance(error, PymimError):
        return error
    if isinstance(error, MemoryError):
        return OutOfMemory(
            f"Loader: {where}: ran out of memory while reading it; lower data.Loader.workers"
        )
    words = " ".join(str(error).split())
    return DataError(
        f"Loader: {where}: expected a picture, got {type(error).__name__}: {words}; correct the "
        "source"
    )


def labels(source: Source, index: NDArray[np.int64]) -> Tensor:
    """Return labels int64 [B], -1 for none."""
    if source.labels is None:
        return torch.full((len(index),), -1)
    return torch.from_numpy(source.labels[index])
