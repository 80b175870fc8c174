"""One contender in its own process: it prepares, answers, and times itself on command."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from time import perf_counter, sleep
from typing import Any

from pymim.bench import Case, Thunk
from pymim.bench.limits import Limits
from pymim.loop import memory


@dataclass(frozen=True)
class Address:
    """Where another process finds a case: module.function()[index], at a size for a Scaling."""

    module: str
    function: str
    index: int
    size: int | None = None

    def find(self) -> Case:
        found = getattr(importlib.import_module(self.module), self.function)()[self.index]
        return found if self.size is None else found.case(self.size)  # type: ignore[no-any-return]


def serve(connection: Connection, address: Address, contender: str, seconds: float) -> None:
    """Send "ready", "absent" or "failed", then obey "answer", "time", "between", "apart" and
    "stop".

    The contender "limit" obeys "rates". Every contender's process keeps the memory it frees.
    """
    memory.keep()
    try:
        contest = _contest(address, contender, seconds)
        connection.send(("ready", None))
        while (command := connection.recv()) != "stop":
            connection.send(("done", getattr(contest, command)()))
    except ModuleNotFoundError as error:
        connection.send(("absent", str(error)))
    except Exception:
        connection.send(("failed", traceback.format_exc()))


def _contest(address: Address, contender: str, seconds: float) -> _Contender | Limits:
    if contender != "limit":
        return _Contender(address, contender, seconds)
    work = address.find().work
    assert work is not None, address
    return Limits(work, seconds)


class _Contender:
    def __init__(self, address: Address, contender: str, seconds: float) -> None:
        case = address.find()
        prepared = case.contenders[contender](case.inputs())
        self.thunk, self.read = (
            prepared if isinstance(prepared, tuple) else (prepared, lambda answer: answer)
        )
        self.seconds = seconds
        self.calls = 0

    def answer(self) -> Any:
        return _as_numpy(self.read(self.thunk()))

    def time(self) -> tuple[float, float]:
        """Give the seconds per call, over calls that fill `seconds`, and the growth of the peak in
        megabytes.
        """
        before = memory.peak()
        return self._timed(None), (memory.peak() - before) / 2**20

    def between(self) -> tuple[float, float]:
        """Time as time(), each call after torch operators."""
        return self._timed(_torch_operators()), 0.0

    def apart(self) -> list[float]:
        """Give the seconds of each call, each after a pause in which threads fall asleep; at most
        200 calls.
        """
        if not self.calls:
            self.calls = min(max(1, round(self.seconds / self._warm_up(_rest))), 200)
        return [_measure(self.thunk, 1, _rest) for _ in range(self.calls)]

    def _timed(self, pause: Callable[[], None] | None) -> float:
        if self.calls != 1:
            fastest = self._warm_up(pause)
            self.calls = self.calls or max(1, round(self.seconds / fastest))
        return _measure(self.thunk, self.calls, pause)

    def _warm_up(self, pause: Callable[[], None] | None) -> float:
        """Call until threads are awake and caches are warm; return the fastest call's seconds."""
        until, fastest = perf_counter() + self.seconds / 5, float("inf")
        while perf_counter() < until or fastest == float("inf"):
            fastest = min(fastest, _measure(self.thunk, 1, pause))
        return fastest


def _measure(thunk: Thunk, calls: int, pause: Callable[[], None] | None) -> float:
    if pause is None:
        start = perf_counter()
        for _ in range(calls):
            thunk()
        return (perf_counter() - start) / calls
    total = 0.0
    for _ in range(calls):
        pause()
        start = perf_counter()
        thunk()
        total += perf_counter() - start
    return total / calls


def _rest() -> None:
    sleep(0.002)


def _torch_operators() -> Callable[[], None]:
    """Make a product and an activation, parallel in torch, too small to empty the caches.

    They show whether two thread pools disturb each other.
    """
    import torch

    a, b, product = torch.rand(3, 192, 192)

    def run() -> None:
        torch.mm(a, b, out=product).sigmoid_()

    return run


def _as_numpy(answer: Any) -> Any:
    if hasattr(answer, "detach"):
        answer = answer.detach()
        return (answer.float() if str(answer.dtype) == "torch.bfloat16" else answer).numpy()
    if isinstance(answer, (tuple, list)):
        return tuple(_as_numpy(part) for part in answer)
    return answer
