"""Report a training run: a bar on a terminal, plain lines elsewhere, and metrics.jsonl."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from tqdm import tqdm

from pymim.io import Metrics
from pymim.loop import memory


class Done(NamedTuple):
    """Hold how far a run is after a step."""

    step: int
    images: int  # pictures seen since the run began
    epoch: float  # `images` as passes over the training set
    waited: float  # seconds spent waiting for data
    broken: int  # pictures that could not be read


class Progress:
    """Report every few steps: the mean losses since the last report, and the step's gauges.

    Losses arrive as numbers, since each step checks that they are finite. Their mean needs no
    further wait for the GPU.

    kept: the `state()` of the run that is resumed.
    """

    def __init__(
        self,
        first: Done,
        steps: int,
        items: str,
        metrics: Metrics | None,
        every: int,
        kept: dict[str, Any],
    ) -> None:
        self.items, self.steps = items, steps
        self.metrics, self.every = metrics, every
        self.shown = metrics is not None and sys.stderr.isatty()
        self._bar = tqdm(
            total=steps, initial=first.step, unit="step", disable=not self.shown, dynamic_ncols=True
        )
        self._since, self._last = time.perf_counter(), first
        self._sums: dict[str, float] = dict(kept.get("sums", {}))
        self._counts: dict[str, int] = dict(kept.get("counts", {}))

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps, so that a resumed run reports the same means."""
        return {"sums": self._sums, "counts": self._counts}

    def report(
        self, done: Done, rate: float, losses: dict[str, float], gauges: dict[str, float]
    ) -> None:
        """Count one step, and report every few. Only the leading process prints and writes."""
        self._bar.update(1)
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._counts[name] = self._counts.get(name, 0) + 1
        if done.step % self.every == 0 or done.step == self.steps:
            means = {name: total / self._counts[name] for name, total in self._sums.items()}
            self._sums, self._counts = {}, {}
            self._speak(done, rate, means, losses["loss"], gauges)

    def _speak(
        self,
        done: Done,
        rate: float,
        means: dict[str, float],
        last: float,
        gauges: dict[str, float],
    ) -> None:
        if self.metrics is None:
            return
        now = time.perf_counter()
        elapsed = max(now - self._since, 1e-9)
        speed = (done.images - self._last.images) / elapsed
        waiting = (done.waited - self._last.waited) / elapsed
        self._since, self._last = now, done
        self.metrics.write(
            done.step,
            epoch=round(done.epoch, 4),
            images=done.images,
            time=round(time.time(), 3),
            rate=rate,
            **means,
            loss_of_step=last,
            **gauges,
            images_per_second=round(speed, 1),
            data_wait=round(waiting, 4),
            broken=done.broken,
            memory_mib=_memory_mib(),
        )
        text = f"loss {means['loss']:.4f}  lr {rate:.2e}  {speed:.0f} {self.items}/s"
        text += f"  data wait {waiting:.0%}"
        text += "".join(
            f"  {name} {gauges[name]:.3g}" for name in gauges if name.endswith(("/rank", "/used"))
        )
        text += f"  broken {done.broken}" * bool(done.broken)
        self._bar.set_postfix_str(text)
        if not self.shown:
            self.say(f"step {done.step}/{self.steps}  {text}")

    @contextlib.contextmanager
    def apart(self) -> Iterator[None]:
        """Leave the time spent in the block out of the speed: it is not training."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._since += time.perf_counter() - began

    def say(self, line: str) -> None:
        """Print a line above the bar, from the leading process."""
        if self.metrics is None:
            return
        tqdm.write(line, file=sys.stderr)

    def close(self) -> None:
        """Close the bar and the metrics."""
        self._bar.close()
        if self.metrics is not None:
            self.metrics.close()


def _memory_mib() -> int:
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated() / 2**20)
    return memory.peak() // 2**20
