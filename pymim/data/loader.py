"""Batches by number: what a step sees is a pure function of (seed, step), whoever computes it."""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data._utils.pin_memory import pin_memory

from pymim import signals
from pymim.checks import given, share, whole
from pymim.contracts import Batch, Order
from pymim.data import opening, pool
from pymim.data.log import log
from pymim.data.maker import Maker
from pymim.data.order import Ids, InTurn
from pymim.data.reading import Broken, listed
from pymim.data.source import Source
from pymim.data.videos import Clip
from pymim.data.workers import clean_start, default_workers
from pymim.errors import ConfigError, DataError
from pymim.parts import part

if TYPE_CHECKING:
    from pymim.contracts import View

Made = tuple[Batch | None, Broken]


class Loader:
    """Batches of `source` in an `order` (by default `order.Shuffled`), each image in every one of `views`.

    Step s holds positions s * batch to (s + 1) * batch of the order, and rank r of `world` an equal, contiguous
    share of them. So the one number `step` says where a run stands.

    source: a Source, or what `data.open` takes, to be opened with `channels` and `clip`.
    batch: images per step over all ranks. workers: processes that decode; by default none where the source lies in
        memory (a thread prepares batches beside the training), else its share of the processors.
    prefetch: batches made ahead, by each worker. tolerate: share of the pictures that may be broken (always one).
    patience: seconds that a batch is waited for, at most; a wait of a minute is said.

    A broken picture is replaced by the next one that is not, logged, and listed in `broken`.
    """

    def __init__(
        self,
        source: Source | opening.Data,
        views: View | Iterable[View],
        batch: int,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        workers: int | None = None,
        prefetch: int = 2,
        tolerate: float = 0.1,
        channels: int = 3,
        clip: Clip | None = None,
        order: Order | None = None,
        patience: float = 1800.0,
    ):
        whole(self, 1, batch=batch, prefetch=prefetch)
        whole(self, 0, **given(workers=workers))
        share(self, tolerate=tolerate)
        if batch % world:
            raise ValueError(f"Loader: batch: expected a multiple of {world} processes, got {batch}; change either")
        self.source = opening.training_set(source, channels, clip)
        self.workers = default_workers(self.source) if workers is None else workers
        self.context = clean_start() if self.workers else None  # early: it starts while the model is built
        self.prefetch, self.tolerate, self.patience = prefetch, tolerate, patience
        # How many pictures may be broken.
        self.limit = min(len(self.source) - 1, max(1, part(len(self.source), tolerate)))
        self.steps_per_epoch = max(1, len(self.source) // batch)  # whole steps of a pass, at least one
        self.waited = 0.0  # seconds that the training has waited for a batch
        self.broken: Broken = {}
        self.seed, self.rank, self.world = seed, rank, world
        self.make = Maker(self.source, views, batch, seed, rank, world, self.limit, order)

    @property
    def views(self) -> list[View]:
        """How each picture is prepared, once for each view of a batch."""
        return self.make.views

    def in_order(self, batch: int, views: Iterable[View] = ()) -> Loader:
        """Give a loader of the same pictures in the order of the source, by other views where some are given."""
        loader = Loader(
            self.source,
            list(views) or self.views,
            batch,
            self.seed,
            self.rank,
            self.world,
            self.workers,
            self.prefetch,
            self.tolerate,
            order=InTurn(),
            patience=self.patience,
        )
        loader.broken = self.broken
        return loader

    def batches(self, first: int, last: int) -> Generator[Batch]:
        """The batches of steps first to last; to close it early ends what makes them."""
        for stretch in self._stretches(first, last):
            with contextlib.closing(self._made(*stretch)) as made:
                while (item := self._next(made)) is not None:
                    batch, broken = item
                    self._count(broken)
                    assert batch is not None, "too many broken pictures raise above"
                    yield batch

    def _next(self, made: Iterator[Made]) -> Made | None:
        began = time.perf_counter()
        try:
            return next(made, None)
        finally:
            self.waited += time.perf_counter() - began

    def regroup(self, groups: Ids) -> None:
        """Tells an order that goes by groups which one, int64 [N], each picture is in, from the next epoch on."""
        if hasattr(self.make.order, "regroup"):
            self.make.order.regroup(groups)

    def pair(self, table: Ids) -> None:
        """Say which pictures are partners of each, int64 [N k], from the next epoch on: for `views.Partner`.

        Raises: ConfigError where no view shows partners; ValueError where the table is not one of this source.
        """
        showing = [view for view in self.views if hasattr(view, "pair")]
        if not showing:
            raise ConfigError(
                "Loader: views: expected one that shows partners, got none; add views.Partner to data.Loader.views"
            )
        count = len(self.source)
        if table.ndim != 2 or not table.shape[1] or len(table) != count or table.min() < 0 or table.max() >= count:
            raise ValueError(
                f"Loader.pair: table: expected numbers of pictures [{count} k], 0 to {count - 1}, got "
                f"{list(table.shape)}, {table.min(initial=0)} to {table.max(initial=0)}; make one row a picture"
            )
        for view in showing:
            view.pair(table)

    def _stretches(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Steps that can be made ahead: all of them, or an epoch's, where groups or pairs may be told between."""
        told = hasattr(self.make.order, "regroup") or any(hasattr(view, "pair") for view in self.views)
        while first < last:
            end = first - first % self.steps_per_epoch + self.steps_per_epoch
            end = min(end, last) if told else last
            yield first, end
            first = end

    def _count(self, broken: Broken) -> None:
        for path in [path for path in broken if path not in self.broken]:
            log.warning("skipped %s: %s", path, broken[path])
        self.broken |= broken
        if len(self.broken) > self.limit:
            raise DataError(
                f"Loader: source: expected at most {self.limit} broken of {len(self.source)} pictures, got "
                f"{listed(self.broken)}; mend or remove them, or raise data.Loader.tolerate"
            )

    def _made(self, first: int, last: int) -> Generator[Made]:
        """By processes, or by a thread; where there are processes, one brings their batches into pinned memory."""
        steps = range(first, last)
        if not self.workers:
            return self._by_a_thread((self.make[step] for step in steps), first)
        made = pool.made(self.make, steps, self.workers, self.prefetch, self.context, self.patience)
        return self._by_a_thread(made, first) if torch.cuda.is_available() else made

    def _by_a_thread(self, items: Generator[Made], first: int) -> Generator[Made]:
        """Have the items, from that of step `first` on, made ahead by a thread."""
        ahead: queue.Queue[Any] = queue.Queue(self.prefetch)
        stop = threading.Event()
        threads = torch.get_num_threads()
        ready = threading.Event()
        thread = threading.Thread(target=_work, args=(items, ahead, ready, stop), daemon=True)
        thread.start()
        ready.wait()
        torch.set_num_threads(threads)  # of this thread, and of those to come
        try:
            for step in itertools.count(first):
                item = _taken(ahead, pool.Wait(f"the batch of step {step}", self.patience))
                if item is None:
                    return
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            stop.set()
            _end(thread, ahead)


def _taken(ahead: queue.Queue[Any], wait: pool.Wait) -> Any:
    while True:
        with contextlib.suppress(queue.Empty):
            return ahead.get(timeout=pool.GLANCE)
        wait.look("a thread of this process makes it")


def _work(items: Generator[Made], ahead: queue.Queue[Any], ready: threading.Event, stop: threading.Event) -> None:
    """Makes batches on one processor: the others train. A thread asks torch for its number of threads at its
    first operator; asked before, it keeps the one it is given here."""
    torch.get_num_threads()
    torch.set_num_threads(1)
    ready.set()
    try:
        with contextlib.closing(items):
            while not stop.is_set():
                item = next(items, None)
                ahead.put(pin_memory(item) if torch.cuda.is_available() else item)
                if item is None:
                    return
    except BaseException as error:
        ahead.put(error)


def _end(thread: threading.Thread, ahead: queue.Queue[Any]) -> None:
    """Wait until the thread has heard that it should stop; one that waits for its storage is left to itself."""
    until = time.monotonic() + signals.PATIENCE
    while thread.is_alive() and time.monotonic() < until:
        while not ahead.empty():
            ahead.get_nowait()
        thread.join(0.01)
