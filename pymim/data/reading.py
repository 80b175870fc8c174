"""Pictures of a source by number, with what came with them; a broken one is replaced by the next."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pymim.data.source import Source, Unreadable

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
            images = source.take(index) if hasattr(source, "take") else _decode(source, index, moments, done)
            return images, index, {source.path(i): reason for i, reason in broken.items()}
        except Unreadable as error:
            broken[error.index] = error.reason
            index[index == error.index] = (error.index + 1) % len(source)
    return None, index, {source.path(i): reason for i, reason in broken.items()}


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


def labels(source: Source, index: NDArray[np.int64]) -> Tensor:
    """int64 [B], -1 where there is none."""
    if source.labels is None:
        return torch.full((len(index),), -1)
    return torch.from_numpy(source.labels[index])


def first_of(broken: Broken) -> str:
    """Say how many pictures are broken, and what is wrong with the first of them."""
    path, reason = next(iter(broken.items()))
    return f"{len(broken)} broken pictures ({path}: {reason}{'; ...' if len(broken) > 1 else ''})"
