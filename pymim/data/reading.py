"""Pictures of a source by number, with what came with them; a broken one is replaced by the next."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pymim.data.source import Source, Unreadable
from pymim.errors import DataError, OutOfMemory, PymimError

Broken = dict[str, str]  # path: what is wrong with it
Moments = list[float | None]  # where in each video a clip begins; None for pictures
Done = dict[tuple[int, float | None], Tensor]
Pictures = Tensor | list[Tensor]  # [B C H W], or B times [C h w]


def read(
    source: Source, wanted: NDArray[np.int64], limit: int, moments: Moments | None = None
) -> tuple[Pictures | None, NDArray[np.int64], Broken]:
    """Pictures uint8 [B C H W], or B times [C h w] where their sizes may differ, and which they are: a broken
    one is replaced by the next that is not. No pictures where more than `limit` are broken."""
    index, broken, done = wanted.copy(), dict[int, str](), Done()
    moments = moments or [None] * len(wanted)
    while len(broken) <= limit:
        try:
            images = _taken(source, index) if hasattr(source, "take") else _decode(source, index, moments, done)
            return images, index, {source.path(i): reason for i, reason in broken.items()}
        except Unreadable as error:
            broken[error.index] = " ".join(error.reason.split()) or "no reason given"
            index[index == error.index] = (error.index + 1) % len(source)
    return None, index, {source.path(i): reason for i, reason in broken.items()}


def listed(broken: Broken, most: int = 3) -> str:
    """Say how many pictures are broken, and name the first few and why each is."""
    some = [f"{path}: {reason}" for path, reason in list(broken.items())[:most]]
    rest = [f"and {len(broken) - most} more"] if len(broken) > most else []
    return f"{len(broken)} broken pictures ({'; '.join(some + rest)})"


def _decode(source: Source, index: NDArray[np.int64], moments: Moments, done: Done) -> list[Tensor]:
    """Pictures one by one; `done` keeps those of an earlier try."""
    wanted = list(zip(index.tolist(), moments, strict=True))
    for one in wanted:
        if one not in done:
            done[one] = _one(source, *one)
    return [done[one] for one in wanted]


def _one(source: Source, index: int, moment: float | None) -> Tensor:
    try:
        return source[index].image if moment is None else source.clip(index, moment)  # type: ignore[attr-defined]
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
    """What is no broken picture, as a line: a source's own mistake, or no memory."""
    if isinstance(error, PymimError):
        return error
    if isinstance(error, MemoryError):
        return OutOfMemory(f"Loader: {where}: out of memory while it was read; lower data.Loader.workers")
    words = " ".join(str(error).split())
    return DataError(f"Loader: {where}: expected a picture, got {type(error).__name__}: {words}; mend the source")


def labels(source: Source, index: NDArray[np.int64]) -> Tensor:
    """int64 [B], -1 where there is none."""
    if source.labels is None:
        return torch.full((len(index),), -1)
    return torch.from_numpy(source.labels[index])
