"""Sinkhorn: soft labels of a batch, all together and by position."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from pymim.bench import Case, Scaling, Thunk, Work


def _scores(*shape: int) -> Any:
    return np.random.default_rng(0).normal(0, 0.1, shape).astype(np.float32)


def _ours(scores: Any) -> Thunk:
    import torch

    from pymim.ops import sinkhorn

    return partial(sinkhorn.plan, torch.from_numpy(scores), epsilon=0.05, iterations=3)


def _torch(scores: Any) -> Thunk:
    """Exponentiate, then normalise sides in turn, in the fewest operations."""
    import torch

    given = torch.from_numpy(scores)
    plan = torch.empty_like(given)

    def run() -> torch.Tensor:
        torch.div(given, 0.05, out=plan).exp_()
        for _ in range(3):
            plan.div_(plan.sum(-2, keepdim=True))
            plan.div_(plan.sum(-1, keepdim=True))
        return plan

    return run


def _released(scores: Any) -> Thunk:
    """Do the same as SwAV's released code: total mass 1, 1/K for each prototype and 1/B for each
    sample.
    """
    import torch

    given = torch.from_numpy(scores)
    b, k = scores.shape
    plan = torch.empty_like(given)
    masses = plan.T

    def run() -> torch.Tensor:
        torch.div(given, 0.05, out=plan).exp_()
        masses.div_(masses.sum())
        for _ in range(3):
            masses.div_(masses.sum(1, keepdim=True)).div_(k)
            masses.div_(masses.sum(0, keepdim=True)).div_(b)
        masses.mul_(b)
        return plan

    return run


def _same(ours: Any, theirs: Any) -> None:
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-7)


def _case(*shape: int, bar: float | None = None, **others: Callable[[Any], Thunk]) -> Case:
    size, rivals = int(np.prod(shape)), {"torch": _torch, **others}
    return Case(
        op="Sinkhorn, 3 iterations",
        shape=" x ".join(map(str, shape)),
        inputs=partial(_scores, *shape),
        contenders={"pymim": _ours, **rivals},
        agree=_same,
        bars=dict.fromkeys(rivals, bar) if bar else {},
        work=Work(4 * 4 * size, "bytes", 4 * size),  # iterations + 1 reads of the scores
        items=(size // shape[-1], "rows"),
    )


def cases() -> list[Case]:
    return [_case(4096, 3000, bar=4, released=_released), _case(196, 64, 1024, bar=4)]


def scaling() -> list[Scaling]:
    return [
        Scaling(
            "Sinkhorn, 3 iterations", "B, K 1000", [512, 1024, 2048, 4096], lambda b: _case(b, 1000)
        ),
        Scaling(
            "Sinkhorn, 3 iterations", "K, B 1024", [512, 1024, 2048, 4096], lambda k: _case(1024, k)
        ),
    ]
