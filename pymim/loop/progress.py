"""What a run says while it trains: a bar on a terminal, plain lines elsewhere, metrics.jsonl always."""

from __future__ import annotations

import sys
import time

import torch
from tqdm import tqdm

from pymim.io import Metrics
from pymim.loop import memory


class Progress:
    """Counts items (images, clips) and time between reports, and the share of it spent waiting for data."""

    def __init__(
        self,
        first: int,
        steps: int,
        batch: int,
        items: str,
        steps_per_epoch: int,
        metrics: Metrics | None,
        every: int,
    ) -> None:
        self.batch, self.items, self.steps, self.steps_per_epoch = batch, items, steps, steps_per_epoch
        self.metrics, self.every = metrics, every
        self.shown = metrics is not None and sys.stderr.isatty()
        self._bar = tqdm(total=steps, initial=first, unit="step", disable=not self.shown, dynamic_ncols=True)
        self._since, self._step, self._waited = time.perf_counter(), first, 0.0

    def report(self, step: int, rate: float, losses: dict[str, float], waited: float, broken: int = 0) -> None:
        """Called after each step; speaks every few. Silent in processes that do not lead."""
        self._bar.update(1)
        if self.metrics is None or (step % self.every and step != self.steps):
            return
        now = time.perf_counter()
        elapsed = max(now - self._since, 1e-9)
        speed = (step - self._step) * self.batch / elapsed
        share = (waited - self._waited) / elapsed
        self._since, self._step, self._waited = now, step, waited
        self.metrics.write(
            step,
            epoch=round(step / self.steps_per_epoch, 4),
            images=step * self.batch,
            time=round(time.time(), 3),
            rate=rate,
            **losses,
            images_per_second=round(speed, 1),
            data_wait=round(share, 4),
            broken=broken,
            memory_mib=_memory_mib(),
        )
        text = f"loss {losses['loss']:.4f}  lr {rate:.2e}  {speed:.0f} {self.items}/s  data wait {share:.0%}"
        text += "".join(f"  {name} {losses[name]:.3g}" for name in losses if name.endswith(("/rank", "/used")))
        text += f"  broken {broken}" * bool(broken)
        self._bar.set_postfix_str(text)
        if not self.shown:
            self.say(f"step {step}/{self.steps}  {text}")

    def say(self, line: str) -> None:
        """A line of its own, above the bar where there is one, of the process that leads."""
        if self.metrics is None:
            return
        tqdm.write(line, file=sys.stderr)

    def close(self) -> None:
        self._bar.close()
        if self.metrics is not None:
            self.metrics.close()


def _memory_mib() -> int:
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated() / 2**20)
    return memory.peak() // 2**20
