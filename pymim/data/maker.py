"""Makes the batch of a step; in this process, a thread or a worker: it holds no state and pickles."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pymim import philox
from pymim.contracts import Batch, Draw
from pymim.data.order import Ids, Order, Shuffled
from pymim.data.source import Source, Unreadable
from pymim.errors import DataError

if TYPE_CHECKING:
    from pymim.views.view import View

Broken = dict[str, str]  # path: what is wrong with it
Moments = list[float | None]  # where in each video a clip begins; None for pictures
Done = dict[tuple[int, float | None], Tensor]
CHUNK = 64  # pictures that `load` holds in their own size


class Maker:
    """Step -> batch, and the broken pictures that were met. `limit`: of those, more than which no batch is made."""

    def __init__(
        self,
        source: Source,
        views: View | Iterable[View],
        batch: int,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        limit: int = 1,
        order: Order | None = None,
    ):
        self.order: Order = order or Shuffled()
        self.source, self.seed, self.limit = source, seed, limit
        self.views = list(views) if isinstance(views, Iterable) else [views]
        self.batch, self.share = batch, slice(rank * batch // world, (rank + 1) * batch // world)

    def __getitem__(self, step: int) -> tuple[Batch | None, Broken]:
        index, visit = (part[self.share] for part in self.order.at(self.seed, step, self.batch, len(self.source)))
        images, index, broken = read(self.source, index, self.limit, self._moments(index, visit))
        if images is None:
            return None, broken
        number, seed = torch.from_numpy(index), philox.key(self.seed, "views")
        views = [view(images, number, Draw(seed, visit, k)) for k, view in enumerate(self.views)]  # type: ignore[arg-type]
        return Batch(views, number, labels(self.source, index)), broken

    def _moments(self, wanted: Ids, visit: Ids) -> Moments:
        """Where in each video of this batch its clip begins."""
        if not hasattr(self.source, "clip"):
            return [None] * len(wanted)
        name = philox.Name(philox.key(self.seed, "moments"), visit, wanted)
        return list(philox.uniforms(name, blocks=1)[:, 0, 0].tolist())


def read(
    source: Source, wanted: NDArray[np.int64], limit: int, moments: Moments | None = None
) -> tuple[Tensor | list[Tensor] | None, NDArray[np.int64], Broken]:
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


def load(source: Source, view: View, size: int) -> tuple[Tensor, Tensor]:
    """`size` pictures spread evenly over a source (or all), prepared by `view`, and their labels."""
    count = min(size, len(source))
    prepared, label = [], []
    for wanted in np.array_split(np.arange(count) * len(source) // count, -(-count // CHUNK)):
        images, index, broken = read(source, wanted, limit=len(wanted) - 1)
        if images is None:
            raise DataError(f"data.load: source: expected pictures, got {len(wanted)} broken ones: {broken}")
        prepared.append(view(images, torch.from_numpy(index), None))
        label.append(labels(source, index))
    return torch.cat(prepared), torch.cat(label)
