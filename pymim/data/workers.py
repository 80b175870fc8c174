"""Run the processes that decode: forked from a clean one, deaf to signals, gone with the run."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import pickle
import random
import signal
import threading
import traceback
import weakref
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np
import torch

from pymim.data import passing
from pymim.data.source import Source
from pymim.errors import DataError
from pymim.signals import SIGNALS

MOST_WORKERS = 16  # by default
_started: weakref.WeakSet[BaseProcess] = weakref.WeakSet()


def default_workers(source: Source) -> int:
    """Return 0 for a source in memory, else this process's share of the processors, at most 16."""
    if hasattr(source, "take"):
        return 0
    processors = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return min(MOST_WORKERS, max(1, processors // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))


def clean_start() -> Any:
    """Start a fresh process to fork workers from.

    Forks of this one would inherit the locks of MKL and wait for ever.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pymim.data", "pymim.views"])
    resource_tracker.ensure_running()  # starting it later would unblock the signals
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        forkserver.ensure_running()  # it inherits the blocked signals
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


def pickled(make: Any) -> bytes:
    """Pickle what each worker gets a copy of. Raises: DataError if it cannot be pickled."""
    try:
        return pickle.dumps(make)
    except Exception as error:  # a part's own pickling may raise any error
        raise _uncopied(error) from error


def start(context: Any, *arguments: Any) -> tuple[BaseProcess, Connection]:
    """Start a worker on `work`; return the end of the pipe that its batches come from."""
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(theirs, *arguments), daemon=True)
    with theirs:
        process.start()
    _started.add(process)
    return process, ours


@atexit.register  # after multiprocessing's own, which waits: the last one runs first
def _end_workers() -> None:
    """Kill workers that were not ended, as their loader was never closed.

    At its exit Python sends processes a signal and waits for them, but workers ignore signals.
    """
    for worker in list(_started):
        if worker.is_alive():
            worker.kill()


def work(connection: Connection, make: bytes, steps: range, ahead: int, seed: int) -> None:
    """Make the batches of these steps, `ahead` of them before the first request; send errors.

    make: pickled, step -> batch.
    """
    _live_as_long_as_the_run()
    torch.set_num_threads(1)
    for draw in (torch.manual_seed, random.seed, np.random.seed):  # a user's component may use them
        draw(seed)
    try:
        copy = _copied(make)
        for place, step in enumerate(steps):
            if place >= ahead:
                connection.recv_bytes()
            _parcel(copy, step).send(connection)
    except (EOFError, BrokenPipeError, ConnectionResetError):  # the run has closed the pipe
        return


def _copied(make: bytes) -> Any:
    try:
        return pickle.loads(make)
    except Exception as error:
        return Failure(_uncopied(error))


def _uncopied(error: Exception) -> DataError:
    return DataError(
        f"Loader: workers: expected a source, views and an order that can be pickled, as workers "
        f"get copies, got: {error}; define their classes in a module, or set "
        "data.Loader.workers = 0"
    )


def _parcel(make: Any, step: int) -> passing.Parcel:
    try:
        return passing.Parcel(make if isinstance(make, Failure) else make[step])
    except BaseException as error:
        return passing.Parcel(Failure(error))


class Failure:
    """Hold an error of a worker, and its traceback as text."""

    def __init__(self, error: BaseException):
        self.error = (
            error
            if _travels(error)
            else DataError(f"Loader: source: {type(error).__name__}: {error}")
        )
        self.where = "".join(traceback.format_exception(error))

    def raised(self) -> BaseException:
        """Return the error to raise here, with the worker's traceback as its cause."""
        self.error.__cause__ = _Remote(f"\n{self.where}")
        return self.error


class _Remote(Exception):
    """The traceback of another process, as text."""


def _travels(error: BaseException) -> bool:
    try:
        return type(pickle.loads(pickle.dumps(error))) is type(error)
    except Exception:  # the error's own constructor may raise any error
        return False


def _live_as_long_as_the_run() -> None:
    """Ignore signals, and end when the run ends.

    A signal to the whole process group asks the training to save and stop, and until then it needs
    its workers. If the run is killed, the fresh process that is the workers' parent lives on, so
    they watch the run itself.
    """
    for name in SIGNALS:
        signal.signal(name, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_run, daemon=True).start()


def _end_with_the_run() -> None:
    run = multiprocessing.parent_process()
    assert run is not None, "this is a worker"
    run.join()
    os._exit(1)
