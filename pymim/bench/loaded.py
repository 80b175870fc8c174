"""Time each op while every core is busy, as beside data workers and other users.

Each call comes after a pause, so its threads are asleep when it begins, and the time shows what
waiting for them costs. pymim on its own threads is compared with pymim on one thread, in median and
mean, and shown beside a rival on its own threads.
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

SLOWER = 1.5  # most time that threads may take under load, relative to one thread
ROUNDS = 9
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def of_the_core(stems: Iterable[str]) -> list[str]:
    """Give the stems that are ops."""
    return [stem for stem in stems if importlib.util.find_spec(f"pymim.ops.{stem}")]


@contextlib.contextmanager
def busy_cores() -> Iterator[None]:
    """Keep every core of this process busy, with a process pinned to each."""
    context = multiprocessing.get_context("spawn")
    cores = sorted(os.sched_getaffinity(0))
    started = [context.Event() for _ in cores]
    work = [
        context.Process(target=_spin, args=pair, daemon=True)
        for pair in zip(cores, started, strict=True)
    ]
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
    """Yield one row per case of a module of this package."""
    for index in range(len(importlib.import_module(module).cases())):
        yield run_case(Address(module, "cases", index), quick=quick)


def run_case(address: Address, *, quick: bool = False) -> dict[str, Any]:
    """Check the answers, then time pymim, pymim on one thread and the first rival, in turn, under
    load.

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
    """Give the seconds of every call, by name, in interleaved rounds."""
    for runner in runners.values():
        runner.ask("apart")  # warms up
    found: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(count):
        for name, runner in runners.items():
            time.sleep(0.05)  # let the threads of the previous one fall asleep
            found[name] += runner.ask("apart")
    return found


def row(op: str, shape: str, rival: str, calls: Mapping[str, list[float]]) -> dict[str, Any]:
    """Return plain numbers: `slower` compares with one thread, `ratio` with the rival."""
    ours, theirs = _numbers(calls["ours"]), _numbers(calls["theirs"])
    one = _numbers(calls["one"])
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
    """Give the median, the mean, and the 90th percentile."""
    return {"seconds": median(calls), "mean": fmean(calls), "tenth": quantiles(calls, n=10)[-1]}


def table(rows: list[dict[str, Any]]) -> str:
    """Give aligned text that is also a Markdown table."""
    header = [
        "op, every core busy",
        "shape",
        "ours",
        "on one thread",
        "slower",
        "bar",
        "rival",
        "theirs",
        "ratio",
    ]
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
