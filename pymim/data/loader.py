"""Make batches by number: the content of a step is a pure function of (seed, step)."""

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
    """Batches of `source` in an `order` (`order.Shuffled`), every image in each of `views`.

    Step s holds positions s * batch to (s + 1) * batch of the order; rank r of `world` takes an
    equal, contiguous share of them. So the step number alone says where a run is.

    views: what is made of each picture: one view or several.
    seed: of the order and of the views.
    rank, world: the number of this process, and of all; the trainer gives them.
    channels, clip: what `data.open` takes, where `source` is not open yet.
    order: which picture comes when; None: `data.Shuffled()`.
    source: a Source, or what `data.open` takes, opened with `channels` and `clip`.
    batch: images per step over all ranks.
    workers: processes that decode. By default 0 if the source is in memory, where a thread prepares
        batches during training; else this process's share of the processors.
    prefetch: batches made ahead by each worker.
    tolerate: share of the pictures that may be broken; one always may.
    patience: seconds to wait for a batch at most; a wait of a minute is reported.

    A broken picture is replaced by the next good one, logged, and listed in `broken`.
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
            raise ValueError(
                f"Loader: batch: expected a multiple of the number of processes, {world}, got "
                f"{batch}; change one of them"
            )
        self.source = opening.training_set(source, channels, clip)
        self.workers = default_workers(self.source) if workers is None else workers
        # Start early: the processes come up while the model is built.
        self.context = clean_start() if self.workers else None
        self.prefetch, self.tolerate = prefetch, tolerate
        self.patience = patience
        # How many pictures may be broken.
        self.limit = min(len(self.source) - 1, max(1, part(len(self.source), tolerate)))
        self.steps_per_epoch = max(1, len(self.source) // batch)  # whole steps, at least one
        self.waited = 0.0  # seconds that the training has waited for a batch
        self.broken: Broken = {}
        self.seed, self.rank = seed, rank
        self.world = world
        self.make = Maker(self.source, views, batch, seed, rank, world, self.limit, order)

    @property
    def views(self) -> list[View]:
        """How each picture is prepared, once for each view of a batch."""
        return self.make.views

    def in_order(self, batch: int, views: Iterable[View] = ()) -> Loader:
        """Return a loader of the same pictures in source order, with other views if given."""
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
        """Yield the batches of steps first to last; closing the generator ends its workers."""
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
        """Set the group of each picture, int64 [N], from the next epoch on.

        An order that does not go by groups ignores it.
        """
        if hasattr(self.make.order, "regroup"):
            self.make.order.regroup(groups)

    def pair(self, table: Ids) -> None:
        """Set the partners of each picture, int64 [N k], from the next epoch on.

        They are for `views.Partner`.

        Raises: ConfigError if no view shows partners; ValueError if the table does not fit the
        source.
        """
        showing = [view for view in self.views if hasattr(view, "pair")]
        if not showing:
            raise ConfigError(
                "Loader: views: expected one that shows partners, got none; add views.Partner to "
                "data.Loader.views"
            )
        count = len(self.source)
        if (
            table.ndim != 2
            or not table.shape[1]
            or len(table) != count
            or table.min() < 0
            or table.max() >= count
        ):
            raise ValueError(
                f"Loader.pair: table: expected numbers of pictures [{count} k], 0 to {count - 1}, "
                f"got {list(table.shape)}, {table.min(initial=0)} to {table.max(initial=0)}; give "
                "each picture one row"
            )
        for view in showing:
            view.pair(table)

    def _stretches(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Yield the ranges of steps that can be made ahead.

        That is one epoch if groups or pairs may change between epochs, else all steps.
        """
        by_epoch = hasattr(self.make.order, "regroup") or any(
            hasattr(view, "pair") for view in self.views
        )
        while first < last:
            end = first - first % self.steps_per_epoch + self.steps_per_epoch
            end = min(end, last) if by_epoch else last
            yield first, end
            first = end

    def _count(self, broken: Broken) -> None:
        for path in [path for path in broken if path not in self.broken]:
            log.warning("skipped %s: %s", path, broken[path])
        self.broken |= broken
        if len(self.broken) > self.limit:
            raise DataError(
                f"Loader: source: expected at most {self.limit} broken of {len(self.source)} "
                f"pictures, got {listed(self.broken)}; repair or remove them, or raise "
                "data.Loader.tolerate"
            )

    def _made(self, first: int, last: int) -> Generator[Made]:
        """Make batches by processes or by a thread.

        With processes and a GPU, a thread also copies the batches to pinned memory.
        """
        steps = range(first, last)
        if not self.workers:
            return self._by_a_thread((self.make[step] for step in steps), first)
        made = pool.made(self.make, steps, self.workers, self.prefetch, self.context, self.patience)
        return self._by_a_thread(made, first) if torch.cuda.is_available() else made

    def _by_a_thread(self, items: Generator[Made], first: int) -> Generator[Made]:
        """Make items ahead in a thread, starting with that of step `first`."""
        ahead: queue.Queue[Any] = queue.Queue(self.prefetch)
        stop = threading.Event()
        threads = torch.get_num_threads()
        ready = threading.Event()
        thread = threading.Thread(target=_work, args=(items, ahead, ready, stop), daemon=True)
        thread.start()
        ready.wait()
        torch.set_num_threads(threads)  # for this thread and later ones
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


def _work(
    items: Generator[Made], ahead: queue.Queue[Any], ready: threading.Event, stop: threading.Event
) -> None:
    """Make batches with one torch thread, so that the other processors train.

    A thread takes torch's number of threads at its first operator. Asking for it before keeps the
    number that is set here.
    """
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
    """Wait until the thread has seen the stop; leave it alone if it hangs on its storage."""
    until = time.monotonic() + signals.PATIENCE
    while thread.is_alive() and time.monotonic() < until:
        while not ahead.empty():
            ahead.get_nowait()
        thread.join(0.01)
