"""The processes that decode: started from a clean one, deaf to signals, gone with the run."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import threading
import weakref
from collections.abc import Iterable
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from typing import Any

from pymim.data.source import Source

MOST_WORKERS = 16  # unless asked for
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
_started: weakref.WeakSet[BaseProcess] = weakref.WeakSet()


def default_workers(source: Source) -> int:
    if hasattr(source, "take"):
        return 0
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST_WORKERS, max(1, processors // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))


def clean_start() -> Any:
    """Workers are forks of a fresh process: forks of this one would inherit the locks of MKL and wait for ever."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pymim.data", "pymim.views"])
    if threading.current_thread() is threading.main_thread():
        before = {name: signal.signal(name, signal.SIG_IGN) for name in SIGNALS}
        forkserver.ensure_running()  # it inherits what is ignored
        for name, handler in before.items():
            signal.signal(name, handler)
    return context


def end_at_exit(workers: Iterable[BaseProcess]) -> None:
    """Python waits at its exit for processes that it has asked to end by a signal, to which ours are deaf. One that
    was not told in another way, as its loader was never closed or was too busy for torch's patience, is killed."""
    _started.update(workers)


@atexit.register  # after multiprocessing's own, which waits: the last one runs first
def _end_workers() -> None:
    for worker in list(_started):
        if worker.is_alive():
            worker.kill()


def live_as_long_as_the_run(_: int) -> None:
    """A signal to the whole group asks the training to save and stop: until then it needs its workers. And when
    it is killed they end, though the fresh process that is their parent does not."""
    for name in SIGNALS:
        signal.signal(name, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_run, daemon=True).start()


def _end_with_the_run() -> None:
    run = multiprocessing.parent_process()
    assert run is not None, "this is a worker"
    run.join()
    os._exit(1)
