"""Make the batch of a step, in this process, a thread or a worker: no state, picklable."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pymim import philox
from pymim.contracts import Batch, Draw, Order
from pymim.data.log import log
from pymim.data.order import Ids, Shuffled, repeats
from pymim.data.reading import Broken, Pictures, Starts, labels, listed, read
from pymim.data.sample import chosen
from pymim.data.source import Source, noted
from pymim.errors import DataError

if TYPE_CHECKING:
    from pymim.contracts import View
    from pymim.views.view import Drawn


CHUNK = 64  # pictures that `load` holds in their own size


class Maker:
    """Map a step to its batch and the broken pictures found.

    limit: with more broken pictures than that, no batch is made.
    """

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
        self.source, self.seed = source, seed
        self.limit = limit
        self.views = list(views) if isinstance(views, Iterable) else [views]
        self.batch = batch
        self.own = slice(rank * batch // world, (rank + 1) * batch // world)  # of this process
        for number in range(len(self.views)):
            _check_like(self.views, number)

    def __getitem__(self, step: int) -> tuple[Batch | None, Broken]:
        whole, visits = self.order.at(self.seed, step, self.batch, len(self.source))
        index, visit = whole[self.own], visits[self.own]
        again = repeats(whole)[self.own]
        found = read(self.source, index, self.limit, self._starts(index, visit))
        index, broken = found.ids, found.broken
        number, seed = torch.from_numpy(index), philox.key(self.seed, "views")
        views: list[Tensor] = []
        shown: list[tuple[Pictures, Drawn]] = []
        for k, view in enumerate(self.views):
            draw, like = Draw(seed, visit, k), getattr(view, "like", None)
            if hasattr(view, "partner"):
                others = view.partner(number, draw)
                pictures, drawn = self._partners(others, visit, broken), {"partner": others}
            else:
                pictures, drawn = (found.images, {}) if like is None else shown[like]
            if pictures is None:
                return None, broken
            if like is None and hasattr(view, "drawn"):
                drawn = drawn | view.drawn(pictures, number, draw)
            shown.append((pictures, drawn))
            views.append(_pixels(view, pictures, number, draw, drawn))
        drawn_by_all = [drawn for _, drawn in shown]
        stream = number + len(self.source) * torch.from_numpy(again)
        about = labels(self.source, index), noted(self.source, index)
        return Batch(views, number, *about, drawn_by_all, stream), broken

    def _partners(self, others: Tensor, visit: Ids, broken: Broken) -> Pictures | None:
        """Read the partner pictures; replace a broken one by the next, also in `others`."""
        wanted = others.numpy()
        found = read(self.source, wanted, self.limit, self._starts(wanted, visit))
        others.copy_(torch.from_numpy(found.ids))
        broken.update(found.broken)
        return found.images

    def _starts(self, wanted: Ids, visit: Ids) -> Starts:
        """Draw where in each video of this batch its clip begins, on [0, 1)."""
        if not hasattr(self.source, "clip"):
            return [None] * len(wanted)
        name = philox.Name(philox.key(self.seed, "moments"), visit, wanted)
        return list(philox.uniforms(name, blocks=1)[:, 0, 0].tolist())


def _pixels(view: View, pictures: Pictures, number: Tensor, draw: Draw, drawn: Drawn) -> Tensor:
    if hasattr(view, "show"):
        return view.show(pictures, number, draw, drawn)  # type: ignore[no-any-return]
    return view(pictures, number, draw)


def _check_like(views: Sequence[View], number: int) -> None:
    """Refuse a view whose `like` names a later view, or one that draws nothing.

    Raises: ValueError.
    """
    like = getattr(views[number], "like", None)
    if like is None:
        return
    kind = type(views[number]).__name__
    if not 0 <= like < number:
        wanted = (
            f"an earlier view, 0 to {number - 1}" if number else "None, as it is the first view"
        )
        raise ValueError(
            f"Loader: views: expected {kind}.like of view {number} to be {wanted}, got {like}; "
            "change like, or the order of the views"
        )
    if not hasattr(views[like], "drawn"):
        other = type(views[like]).__name__
        raise ValueError(
            f"Loader: views: expected view {like} to have the methods `drawn` and `show`, as "
            f"{kind}.like names it, got {other}; add them (see pymim.views.view.Pretrain)"
        )


def load(source: Source, view: View, size: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Draw up to `size` pictures, each class in proportion; return them and their labels.

    If the source has labels, only labelled pictures are drawn. Broken ones are left out and logged.

    Returns: the prepared pictures [n C *S] and labels [n]. Raises: DataError if none can be read.
    """
    prepared, label = zip(*pieces(source, view, chosen(source, size, seed)), strict=True)
    return torch.cat(prepared), torch.cat(label)


def pieces(source: Source, view: View, wanted: Ids) -> Iterator[tuple[Tensor, Tensor]]:
    """Prepare these pictures with `view`, a few at a time: yield [b C *S] and labels [b].

    Broken ones are left out and logged. Raises: DataError if none can be read.
    """
    broken: Broken = {}
    any_read = False
    for some in np.array_split(wanted, -(-len(wanted) // CHUNK)):
        found = read(source, some, limit=len(some) - 1)
        broken |= found.broken
        if found.images is not None:
            any_read, kept = True, torch.from_numpy(found.ids == some)
            index = torch.from_numpy(found.ids)
            yield view(found.images, index, None)[kept], labels(source, some)[kept]
    if not any_read:
        raise DataError(
            f"data.load: source: expected pictures, got {listed(broken)}; repair or remove them"
        )
    if broken:
        log.warning("left out %s", listed(broken))
