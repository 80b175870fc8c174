"""The half-steps of Sinkhorn, each one read of the scores, and what a solver is given and gives.

Of a product, where it is made in the core, `scores` are the features, and `prototypes` come beside them.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from pymim import _core
from pymim.ops.arrays import stream
from pymim.ops.register import op
from pymim.ops.sinkhorn.marginals import check_potentials
from pymim.ops.sinkhorn.scores import shape_of


class Potentials(NamedTuple):
    """The logarithms of the scalings, and how good they are."""

    row: Tensor  # [S B] or [B]
    column: Tensor  # [S K] or [K]; one more, the virtual column's, where a mass is given
    error: Tensor  # [S] or scalar: sum |column sums - wanted| / sum wanted, as it was after the last row step
    iterations: Tensor  # int64 [S] or scalar


class Solution(NamedTuple):
    plan: Tensor  # [S B K] or [B K], in the dtype that was computed in
    potentials: Potentials


class Schedule(NamedTuple):
    epsilon: float
    iterations: int
    tolerance: float
    rows_first: bool
    rows_last: bool
    row_power: float
    column_power: float


def _empty_columns(
    scores: Tensor, row: Tensor, epsilon: float, virtual: bool = False, prototypes: Tensor | None = None
) -> Tensor:
    s, _, k = shape_of(scores, prototypes)
    return row.new_empty(s, k + virtual)


@op("sinkhorn_columns", _empty_columns, public=True)
def column_sums(
    scores: Tensor, row: Tensor, epsilon: float, virtual: bool = False, prototypes: Tensor | None = None
) -> Tensor:
    """log sum_b exp(scores[s b k] / epsilon + row[s b]), [S K]; a virtual column of zero scores adds one more."""
    room = scratch(scores, row, shape_of(scores, prototypes)[2] + virtual, prototypes)
    out = _empty_columns(scores, row, epsilon, virtual, prototypes)
    _core.sinkhorn.columns(scores, prototypes, epsilon, row, out, room, stream(scores))
    return out


def _empty_sweep(scores: Tensor, row: Tensor, column: Tensor, *rest: object) -> tuple[Tensor, Tensor]:
    return torch.empty_like(row), torch.empty_like(column)


@op("sinkhorn_sweep", _empty_sweep, public=True)
def sweep(
    scores: Tensor,
    row: Tensor,
    column: Tensor,
    log_rows: Tensor,
    epsilon: float,
    row_power: float = 1.0,
    prototypes: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Scales the rows, then sums the columns, in one read: the new potentials [S B], and column_sums() with them.

    row: the old potentials [S B], zeros at the start; column: [S K], or [S K+1] with a virtual column; log_rows:
    the logarithms of what rows sum to, [S B]. The new potential of a row is row_power (log_rows - log sum_k
    exp(scores / epsilon + column)).
    """
    room = scratch(scores, column, column.shape[1], prototypes)
    row, log_sums = row.clone(), torch.empty_like(column)
    given = (scores, prototypes, epsilon, log_rows, row_power)
    _core.sinkhorn.sweep(*given, row, column, log_sums, room, stream(scores))
    return row, log_sums


def _empty_plan(
    scores: Tensor, row: Tensor, column: Tensor, epsilon: float, prototypes: Tensor | None = None
) -> Tensor:
    return row.new_empty(shape_of(scores, prototypes))


@op("sinkhorn_plan", _empty_plan, public=True)
def write_plan(
    scores: Tensor, row: Tensor, column: Tensor, epsilon: float, prototypes: Tensor | None = None
) -> Tensor:
    """exp(scores / epsilon + row + column), [S B K]."""
    room = scratch(scores, column, column.shape[1], prototypes)
    out = _empty_plan(scores, row, column, epsilon, prototypes)
    check_potentials((scores, prototypes), (row, row), (column, column))
    _core.sinkhorn.plan(scores, prototypes, epsilon, row, column, out, room, stream(scores))
    return out


def _empty_labels(scores: Tensor, *rest: object) -> Tensor:
    return torch.empty(scores.shape[:2], dtype=torch.int64, device=scores.device)


@op("sinkhorn_labels", _empty_labels, public=True)
def write_labels(scores: Tensor, column: Tensor, epsilon: float, prototypes: Tensor | None = None) -> Tensor:
    """The column with the most of each row, int64 [S B], straight from the columns' potentials."""
    room = scratch(scores, column, column.shape[1], prototypes)
    out = _empty_labels(scores)
    check_potentials((scores, prototypes), (column, column))
    _core.sinkhorn.labels(scores, prototypes, epsilon, column, out, room, stream(scores))
    return out


def scratch(scores: Tensor, like: Tensor, width: int, prototypes: Tensor | None = None) -> Tensor:
    """The memory a function of the core works in. Take it before what stays: freed, it leaves room for the next."""
    s, b, _ = scores.shape
    return like.new_empty(_core.sinkhorn.scratch(s, b, width, prototypes is not None, scores.is_cuda))
