"""What this machine can do at most: read memory, and multiply matrices. Measured beside the ops that are held
against it."""

from __future__ import annotations

from typing import Any

import numpy as np

from pymim.bench import Case, Thunk, Work

_READ = 2**26  # float32 numbers: 256 MB, far more than any cache
_SIDE = 1536


def limits() -> list[Case]:
    """Reading, and products in float32 and bfloat16, in the order of contest._LIMITS."""
    products = Work(2.0 * _SIDE**3, "float32"), Work(2.0 * _SIDE**3, "bfloat16")
    return [_limit(Work(4.0 * _READ, "bytes"), _read), *(_limit(work, _product(work.kind)) for work in products)]


def _limit(work: Work, prepare: Any) -> Case:
    return Case(work.kind, "", lambda: None, {"torch": prepare}, lambda ours, theirs: None, work=work)


def _read(_: None) -> Thunk:
    import torch

    data = torch.from_numpy(np.ones(_READ, np.float32))
    return data.sum


def _product(kind: str) -> Any:
    def prepare(_: None) -> Thunk:
        import torch

        a = torch.ones(_SIDE, _SIDE, dtype=getattr(torch, kind))
        out = torch.empty_like(a)
        return lambda: torch.mm(a, a, out=out)

    return prepare
