"""A fair race: every contender is alive in its own process, and all are timed in turn, round after
round.

While one is timed, the others wait in a read. A machine that slows down slows all of them, so
ratios hold even if seconds do not. All processes keep the memory they free (see `_KEEP_MEMORY`):
otherwise code that allocates much is fast or slow depending on page faults, and all should be
compared in the faster mode.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

from pymim.bench.limits import Limit, highest
from pymim.bench.worker import Address, serve

_KEEP_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "4000000000",
    "MALLOC_TOP_PAD_": "67108864",
}


class WrongAnswer(Exception):
    """A contender's answer differs from pymim's, so its time means nothing."""


@dataclass
class Times:
    """Seconds per call, one number per round."""

    rounds: list[float]
    extra_megabytes: float  # growth of the process's peak memory during timing

    @classmethod
    def of(cls, answers: list[tuple[float, float]]) -> Times:
        """Build from (seconds, megabytes) of each round; the first warms up, so only its memory
        counts.
        """
        return cls(
            [seconds for seconds, _ in answers[1:]], sum(megabytes for _, megabytes in answers)
        )

    @property
    def middle(self) -> float:
        return median(self.rounds)

    @property
    def better(self) -> float:
        """Give the lower quartile: the faster mode of a time that has two."""
        return quantiles(self.rounds, n=4)[0] if len(self.rounds) > 3 else min(self.rounds)

    @property
    def spread(self) -> float:
        """Give half the distance between the quartiles, as a share of the median."""
        if len(self.rounds) < 4:
            return (max(self.rounds) - min(self.rounds)) / 2 / self.middle
        low, _, high = quantiles(self.rounds, n=4)
        return (high - low) / 2 / self.middle


@dataclass
class Outcome:
    """A case's times by contender (None: absent), of pymim between torch operators, and the
    machine's limit.

    limit: bytes or operations per second: the most that anything did, contenders included, so no op
    exceeds it.
    """

    address: Address
    times: dict[str, Times | None]
    between: Times | None = None
    limit: Limit | None = None


def run_case(address: Address, *, quick: bool = False, only: set[str] | None = None) -> Outcome:
    """Check every answer against pymim's, then time all in interleaved rounds.

    Raises:
        WrongAnswer: names the contender, before anything is timed.
    """
    case = address.find()
    seconds = 0.01 if quick else 0.1
    runners = {n: Runner(address, n, seconds) for n in case.contenders if not only or n in only}
    ours = next(iter(runners))
    if case.work and not only:
        runners["limit"] = Runner(address, "limit", seconds)
    try:
        present = {name: runner for name, runner in runners.items() if runner.ready()}
        if ours not in present:
            raise RuntimeError(f"{case.op}: {ours} cannot be imported: {runners[ours].reason}")
        check_answers(case.op, case.agree, ours, present)
        asked = [(name, name, "rates" if name == "limit" else "time") for name in present]
        if case.between and not only:  # in the same process: two never run at quite the same speed
            asked.insert(1, ("between", ours, "between"))
        answers = _rounds(present, asked, 3 if quick else case.rounds)
    finally:
        for runner in runners.values():
            runner.stop()
    rates = [each for each, _ in answers.pop("limit", ())]
    times = {name: Times.of(each) for name, each in answers.items()}
    between = times.pop("between", None)
    limit = highest(*rates, _rates(case.work.amount, times)) if case.work and rates else None
    return Outcome(address, {n: times.get(n) for n in runners if n != "limit"}, between, limit)


def _rates(amount: float, times: dict[str, Times]) -> dict[str, float]:
    return {name: amount / each.better for name, each in times.items()}


def check_answers(op: str, agree: Any, ours: str, runners: dict[str, Runner]) -> None:
    """Compare every runner's answer with that of `ours`.

    Raises:
        WrongAnswer: they differ.
    """
    expected = runners[ours].ask("answer")
    for name, runner in runners.items():
        if name in (ours, "limit"):
            continue
        try:
            agree(expected, runner.ask("answer"))
        except AssertionError as error:
            raise WrongAnswer(f"{op}: {name} does not agree with {ours}: {error}") from error


def _rounds(
    runners: dict[str, Runner], asked: list[tuple[str, str, str]], count: int
) -> dict[str, list[tuple[Any, float]]]:
    """Give the answers of each (name, runner, command) by name, in interleaved rounds; the first
    warms up.
    """
    measured: dict[str, list[tuple[Any, float]]] = {name: [] for name, _, _ in asked}
    for _ in range(count + 1):
        for name, runner, command in asked:
            time.sleep(0.05)  # let the thread pools of the previous one fall asleep
            measured[name].append(runners[runner].ask(command))
    return measured


class Runner:
    """A contender in its own process, with these environment variables."""

    def __init__(
        self,
        address: Address,
        contender: str,
        seconds: float,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.name, self.reason = contender, ""
        given = {**_KEEP_MEMORY, **(environment or {})}
        before = {name: os.environ.get(name) for name in given}
        os.environ.update(given)  # the C library reads them when the process starts
        try:
            self.process = context.Process(
                target=serve, args=(theirs, address, contender, seconds), daemon=True
            )
            self.process.start()
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
        theirs.close()

    def ready(self) -> bool:
        """Wait until it has prepared. Give False if its library is not installed."""
        status, self.reason = self._receive()
        return status == "ready"

    def ask(self, command: str) -> Any:
        self.connection.send(command)
        return self._receive()[1]

    def _receive(self) -> tuple[str, Any]:
        try:
            status, value = self.connection.recv()
        except EOFError:
            raise RuntimeError(f"{self.name}: the process died") from None
        if status == "failed":
            raise RuntimeError(f"{self.name}: {value}")
        return status, value

    def stop(self) -> None:
        if self.process.is_alive():
            try:
                self.connection.send("stop")
            except OSError:
                self.process.terminate()
        self.process.join(5)
        if self.process.is_alive():
            self.process.terminate()
            self.process.join()
        self.connection.close()
