"""Each op while every core is busy with something else, as beside data workers and neighbours.

A call comes after a pause, so that threads sleep when it begins: what it costs to wait for them is what shows.
Ours on its own threads is held against ours on one thread, in the median of the calls and in their mean, and stands
beside a rival on its own threads.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import multiprocessing
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from statistics import fmean, median, quantiles
from typing import Any

from pymim.bench import report
from pymim.bench.contest import Runner, check_answers
from pymim.bench.worker import Address

SLOWER = 1.5  # times what one thread takes: the most that waiting for others may cost
ROUNDS = 9
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def of_the_core(stems: Iterable[str]) -> list[str]:
    """Those that are named like an op."""
    return [stem for stem in stems if importlib.util.find_spec(f"pymim.ops.{stem}")]


@contextlib.contextmanager
def busy_cores() -> Iterator[None]:
    """Keeps every core that this process may use busy, with a process pinned to each."""
    context = multiprocessing.get_context("spawn")
    cores = sorted(os.sched_getaffinity(0))
    started = [context.Event() for _ in cores]
    work = [context.Process(target=_spin, args=pair, daemon=True) for pair in zip(cores, started, strict=True)]
    try:
        for process in work:
            process.start()
        for event in started:
            event.wait()
        yield
    finally:
        for process in work:
            if process.is_alive():
                process.terminate()
                process.join()


def _spin(core: int, started: Any) -> None:
    os.sched_setaffinity(0, {core})
    started.set()
    while True:
        pass


def run_cases(module: str, *, quick: bool = False) -> Iterator[dict[str, Any]]:
    """A row a case of a module of this package."""
    for index in range(len(importlib.import_module(module).cases())):
        yield run_case(Address(module, "cases", index), quick=quick)


def run_case(address: Address, *, quick: bool = False) -> dict[str, Any]:
    """Checks the answers, then times ours, ours on one thread and the first rival, in turn, under load.

    Raises:
        WrongAnswer: before anything is timed.
    """
    case = address.find()
    ours, rival, *_ = case.contenders
    seconds = 0.002 if quick else 0.1
    runners = {
        "ours": Runner(address, ours, seconds),
        "one": Runner(address, ours, seconds, _ONE_THREAD),
        "theirs": Runner(address, rival, seconds),
    }
    try:
        for name, runner in runners.items():
            if not runner.ready():
                raise RuntimeError(f"{case.op}: {name}: {runner.reason}")
        check_answers(case.op, case.agree, "ours", runners)
        with busy_cores():
            calls = _calls(runners, 3 if quick else ROUNDS)
    finally:
        for runner in runners.values():
            runner.stop()
    return row(case.op, case.shape, rival, calls)


def _calls(runners: Mapping[str, Runner], count: int) -> dict[str, list[float]]:
    """Seconds of every call, by name, in interleaved rounds."""
    for runner in runners.values():
        runner.ask("apart")  # warms up
    found: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(count):
        for name, runner in runners.items():
            time.sleep(0.05)  # until the threads of the last one sleep too
            found[name] += runner.ask("apart")
    return found


def row(op: str, shape: str, rival: str, calls: Mapping[str, list[float]]) -> dict[str, Any]:
    """Plain numbers: `slower` is ours over ours on one thread, `ratio` the rival's over ours."""
    ours, one, theirs = (_numbers(calls[name]) for name in ("ours", "one", "theirs"))
    slower = {part: ours[part] / one[part] for part in ("seconds", "mean")}
    return {
        "op": op,
        "shape": shape,
        "ours": ours,
        "one_thread": one,
        "slower": slower,
        "rival": rival,
        "theirs": theirs,
        "ratio": theirs["seconds"] / ours["seconds"],
        "bar": SLOWER,
        "met": max(slower.values()) <= SLOWER,
    }


def _numbers(calls: list[float]) -> dict[str, float]:
    """The median, the mean, and what the slowest tenth takes at least."""
    return {"seconds": median(calls), "mean": fmean(calls), "tenth": quantiles(calls, n=10)[-1]}


def table(rows: list[dict[str, Any]]) -> str:
    """Aligned text that is also a Markdown table."""
    header = ["op, every core busy", "shape", "ours", "on one thread", "slower", "bar", "rival", "theirs", "ratio"]
    return report.aligned([header, *(_cells(row) for row in rows)])


def _cells(row: dict[str, Any]) -> list[str]:
    slower = row["slower"]
    return [
        row["op"],
        row["shape"],
        _time(row["ours"]),
        _time(row["one_thread"]),
        f"{slower['seconds']:.2f} x, {slower['mean']:.2f} x",
        f"{row['bar']:g} x {'met' if row['met'] else 'MISSED'}",
        row["rival"],
        _time(row["theirs"]),
        f"{row['ratio']:.2f} x",
    ]


def _time(numbers: dict[str, float]) -> str:
    return f"{report.seconds(numbers['seconds'])}, mean {report.seconds(numbers['mean'])}"
