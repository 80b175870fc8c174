"""Schedules: numbers that change with the step, as pure functions, so nothing must be saved."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from pymim.checks import finite, positive, share, whole

Schedule = Callable[[int, int], float]  # (step, steps of the run) -> value


def at(value: float | Schedule, step: int, steps: int) -> float:
    """Return the value at `step` of a number, or of a schedule over `steps` steps.

    Components that take "a number or a schedule" also take `steps`, by default 0; gin/base.gin
    binds it to the run's.

    Raises: ValueError for a schedule without `steps`.
    """
    if not callable(value):
        return value
    if steps < 1:
        raise ValueError(
            f"schedule: steps: expected the number of steps of the run, got {steps}; bind steps = "
            "%STEPS in the same component"
        )
    return value(step, steps)


class Constant:
    """The same value at every step.

    Args:
        value: the number.
    """

    def __init__(self, value: float) -> None:
        finite(self, value=value)
        self.value = value

    def __call__(self, step: int, steps: int) -> float:
        return self.value


class Cosine:
    """Warm up linearly from `start` to `peak`, then follow half a cosine to `end`.

    The warm-up is in steps, or a share of all `steps`. The value at step 0 is exactly `start`, as
    in the released code of MAE (He et al. 2022). With `truncate` t < 1 only that share of the half
    period is used, so `end` is not reached (CAPI, Darcet et al. 2025).

    peak: the value after the warm-up.
    end: the value at the end of the run.
    start: the value at step 0, where there is a warm-up.
    warmup: its length in steps, or, below 1, as a share of all steps.
    truncate: the share of the half period that is walked; below 1 `end` is not reached.
    inclusive: the last warm-up step is at the peak already, and so is the cosine's first step
        (DINO, Caron et al. 2021; DINOv2, Oquab et al. 2024).
    """

    def __init__(
        self,
        peak: float,
        end: float = 0.0,
        start: float = 0.0,
        warmup: float = 0,
        truncate: float = 1.0,
        inclusive: bool = False,
    ) -> None:
        finite(self, peak=peak, end=end, start=start)
        finite(self, 0, warmup=warmup)
        share(self, truncate=truncate)
        self.peak, self.end = peak, end
        self.start = start
        self.warmup, self.truncate = warmup, truncate
        self.inclusive = inclusive

    def __call__(self, step: int, steps: int) -> float:
        warmup = self.warmup * steps if self.warmup < 1 else self.warmup
        if step < warmup:
            ramp = max(1, math.ceil(warmup - 1e-9) - 1) if self.inclusive else warmup
            return self.start + (self.peak - self.start) * min(step, ramp) / ramp
        done = (step - warmup) / max(1, steps - warmup) * self.truncate
        return self.end + (self.peak - self.end) * 0.5 * (1 + math.cos(math.pi * done))


class Linear:
    """Go from `start` to `end` in a straight line over the first `until` of the run, then stay.

    Args:
        start: the value at step 0.
        end: the value from `until` on.
        until: where the line ends: a share of the run, or, above 1, a step.
    """

    def __init__(self, start: float, end: float, until: float = 1.0) -> None:
        finite(self, start=start, end=end)
        finite(self, 0, until=until)
        self.start, self.end = start, end
        self.until = until

    def __call__(self, step: int, steps: int) -> float:
        until = self.until * steps if self.until <= 1 else self.until
        return self.start + (self.end - self.start) * min(1.0, step / max(1, until))


class Stairs:
    """Hold `schedule` constant over each of `count` equal parts of the run, like epochs.

    In part k it is schedule(k, count) or, with `ahead`, schedule(k + 1, count): then the last part
    is at its end.

    Args:
        schedule: the schedule that is held.
        count: the number of parts.
        ahead: hold the value of a part's end, not of its start.
    """

    def __init__(self, schedule: Schedule, count: int, ahead: bool = False) -> None:
        whole(self, 1, count=count)
        self.schedule, self.count = schedule, count
        self.ahead = ahead

    def __call__(self, step: int, steps: int) -> float:
        return self.schedule(step * self.count // steps + self.ahead, self.count)


class Steps:
    """Use values[0], then values[k] from `at`[k - 1] on, such as to switch an objective on or off.

    values: the numbers, one more than `at` has.
    at: ascending, in steps, or in shares of all `steps` below 1.
    """

    def __init__(self, values: Sequence[float], at: Sequence[float]) -> None:
        finite(self, values=values)
        finite(self, 0, at=at)
        if len(values) != len(at) + 1 or list(at) != sorted(at):
            raise ValueError(
                f"Steps: at: expected {len(values) - 1} ascending numbers, one fewer than values, "
                f"got {at}; give that many"
            )
        self.values, self.at = tuple(values), tuple(at)

    def __call__(self, step: int, steps: int) -> float:
        passed = sum(step >= (place * steps if place < 1 else place) for place in self.at)
        return self.values[passed]


class Delayed:
    """Give 0 for the first `until` of the run, then `value`, at the same step.

    It is the rate of parts that are frozen at first: prototypes (SwAV, Caron et al. 2020) or a last
    layer (DINO, Caron et al. 2021). The optimiser's momentum is gathered meanwhile.

    value: a number or a schedule. until: in steps, or a share of all `steps` below 1.
    """

    def __init__(self, value: float | Schedule, until: float) -> None:
        finite(self, value=value)
        finite(self, 0, until=until)
        self.value, self.until = value, until

    def __call__(self, step: int, steps: int) -> float:
        until = self.until * steps if self.until < 1 else self.until
        return 0.0 if step < until else at(self.value, step, steps)


class Drops:
    """Warm up linearly from `start` to `peak`, then multiply by `factor` at each of `at`.

    peak: the value after the warm-up.
    factor: what the value is multiplied by at each of them.
    start: the value at step 0, where there is a warm-up.
    warmup: its length in steps, or, below 1, as a share of all steps.
    at: shares of all steps (SimMIM, Xie et al. 2022).
    """

    def __init__(
        self,
        peak: float,
        at: Sequence[float],
        factor: float = 0.1,
        start: float = 0.0,
        warmup: float = 0,
    ) -> None:
        finite(self, peak=peak, start=start)
        share(self, at=at)
        positive(self, factor=factor)
        finite(self, 0, warmup=warmup)
        self.peak, self.at = peak, at
        self.factor = factor
        self.start, self.warmup = start, warmup

    def __call__(self, step: int, steps: int) -> float:
        warmup = self.warmup * steps if self.warmup < 1 else self.warmup
        if step < warmup:
            return self.start + (self.peak - self.start) * step / warmup
        return self.peak * self.factor ** sum(step >= share * steps for share in self.at)
