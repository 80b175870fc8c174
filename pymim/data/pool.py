"""Make batches in processes, in order; every wait is reported and has an end."""

from __future__ import annotations

import signal
import time
from collections.abc import Generator
from multiprocessing import connection
from typing import Any

from pymim import children, signals
from pymim.data import passing, workers
from pymim.data.log import log
from pymim.errors import DataError

GLANCE = 0.5  # seconds between two checks for a stop
STATES = {
    "R": "running",
    "S": "sleeping",
    "D": "waiting for storage",
    "T": "stopped by a signal",
    "t": "traced",
}


class Wait:
    """Time a wait: report it every `every` seconds, and end it after `most` seconds."""

    def __init__(self, what: str, most: float, every: float = 60.0):
        self.what, self.most = what, most
        self.every = every
        self.began = time.monotonic()
        self.reported = self.began

    def look(self, state: str) -> None:
        """Report the wait if it is time to.

        Raises: DataError after the longest wait, Asked on a stop.
        """
        signals.check(signals.PATIENCE)
        now = time.monotonic()
        if now - self.began >= self.most:
            raise DataError(
                f"Loader: {self.what}: expected it within {self.most:g} s, got nothing: {state}; "
                "check the storage, or raise data.Loader.patience"
            )
        if now - self.reported >= self.every:
            self.reported = now
            log.warning("waited %.0f s for %s: %s", now - self.began, self.what, state)


class Worker:
    """Run a process that makes the batches of some steps, up to `ahead` before they are taken."""

    def __init__(self, number: int, context: Any, make: bytes, steps: range, ahead: int):
        self.number = number
        self.left = len(steps) - ahead  # batches that are not yet requested
        self.process, self.connection = workers.start(context, make, steps, ahead, number)

    def next(self, wait: Wait) -> Any:
        """Return the next batch.

        Raises: the worker's own error, or DataError if it ended or took too long.
        """
        while not connection.wait([self.connection, self.process.sentinel], timeout=GLANCE):
            wait.look(self.state)
        try:
            if not self.connection.poll():
                raise EOFError
            made = passing.receive(self.connection)
            if self.left > 0:
                self.connection.send_bytes(b"")
                self.left -= 1
        except (EOFError, ConnectionError):
            raise DataError(self._ended(wait.what)) from None
        if isinstance(made, workers.Failure):
            raise made.raised()
        return made

    @property
    def state(self) -> str:
        """What the process does, as the system says."""
        does = STATES.get(children.state(self.process.pid or 0), "alive")
        return f"worker {self.number} (process {self.process.pid}) is {does}"

    def end(self) -> None:
        """Kill the process: it holds nothing worth saving."""
        self.connection.close()
        self.process.kill()
        self.process.join()

    def _ended(self, what: str) -> str:
        self.process.join(5)
        code = self.process.exitcode
        who = f"Loader: worker {self.number} (process {self.process.pid})"
        if code == -signal.SIGKILL:
            return (
                f"{who} was killed before it made {what}, probably because the machine ran out of "
                "memory; lower data.Loader.workers or data.Loader.prefetch, or free memory"
            )
        how = f"by {signal.Signals(-code).name}" if code and code < 0 else f"with exit code {code}"
        return f"{who} ended {how} before it made {what}; set data.Loader.workers = 0 to see why"


def made(
    make: Any, steps: range, count: int, ahead: int, context: Any, patience: float
) -> Generator[Any]:
    """Yield `make[step]` for each step, from up to `count` processes; closing it ends them."""
    crew: list[Worker] = []
    copied = workers.pickled(make)
    try:
        for number in range(min(count, len(steps))):
            crew.append(Worker(number, context, copied, steps[number::count], ahead))
        for place, step in enumerate(steps):
            yield crew[place % count].next(Wait(f"the batch of step {step}", patience))
    finally:
        for worker in crew:
            worker.end()
