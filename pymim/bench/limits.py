"""Measure what this machine can do at most: the fastest read, copy or product of any library.

Limits are measured beside the ops, in the same rounds.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from time import perf_counter
from typing import NamedTuple

import numpy as np

from pymim.bench import Thunk, Work

_READ = 2**28  # bytes: far more than any cache
_SIDES = 512, 1536


class Limit(NamedTuple):
    """The highest rate of some work per second, and what reached it."""

    rate: float
    by: str


class Limits:
    """Time reads and copies of as much memory as the op holds, or products in the dtypes it may
    use.
    """

    def __init__(self, work: Work, seconds: float):
        self.candidates = list(
            _moves(work.held or _READ) if work.kind == "bytes" else _products(work.kind)
        )
        self.seconds = seconds / len(self.candidates)

    def rates(self) -> tuple[dict[str, float], float]:
        """Give the best rate of each by name, from calls that fill the time; and no megabytes."""
        found: dict[str, float] = {}
        for name, amount, thunk in self.candidates:
            fastest = min(_calls(thunk, self.seconds))
            found[name] = max(found.get(name, 0.0), amount / fastest)
        return found, 0.0


def highest(*rates: dict[str, float]) -> Limit:
    """Give the highest of the rates by name, each measured often."""
    return max(
        (Limit(rate, name) for each in rates for name, rate in each.items()),
        key=lambda limit: limit.rate,
    )


def _calls(thunk: Thunk, seconds: float) -> Iterator[float]:
    """Yield the seconds of one call after another, at least two."""
    until = perf_counter() + seconds
    for number in range(10**6):
        start = perf_counter()
        thunk()
        end = perf_counter()
        yield end - start
        if number and end > until:
            return


def _moves(held: float) -> Iterator[tuple[str, float, Thunk]]:
    import torch

    data = torch.ones(max(1, int(held) // 4))
    other = torch.empty_like(data)
    yield "torch's sum", 4.0 * len(data), data.sum
    yield "torch's maximum", 4.0 * len(data), data.amax
    yield "torch's copy", 8.0 * len(data), partial(other.copy_, data)
    yield "numpy's copy", 8.0 * len(data), partial(np.copyto, other.numpy(), data.numpy())


def _products(kind: str) -> Iterator[tuple[str, float, Thunk]]:
    """Yield products in float32, and, if an op may use bfloat16, in both: the faster depends on the
    processor.
    """
    import torch

    for side in _SIDES:
        amount = 2.0 * side**3
        for name in ("float32", "bfloat16")[: 1 if kind == "float32" else 2]:
            a = torch.ones(side, side, dtype=getattr(torch, name))
            yield (
                f"torch's product in {name}",
                amount,
                partial(torch.mm, a, a, out=torch.empty_like(a)),
            )
        b = np.ones((side, side), np.float32)
        yield "numpy's product", amount, partial(np.matmul, b, b, out=np.empty_like(b))
