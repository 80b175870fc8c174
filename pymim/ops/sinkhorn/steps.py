"""The half-steps of Sinkhorn in the core, each one read of the scores; and the records of a solver.

For a product that the core multiplies, `scores` are the features, and `prototypes` are given too.
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
    """The logarithms of the scalings, and how well the plan meets its sums."""

    row: Tensor  # [S B] or [B]
    column: Tensor  # [S K] or [K]; with a mass one more, of the virtual column
    error: Tensor  # [S] or scalar: sum |column sums - wanted| / sum wanted, after the last row step
    iterations: Tensor  # int64 [S] or scalar


class Solution(NamedTuple):
    """A plan and its potentials."""

    plan: Tensor  # [S B K] or [B K], in the dtype of the computation
    potentials: Potentials


class Schedule(NamedTuple):
    """Options of the loop, as the core takes them."""

    epsilon: float
    iterations: int
    tolerance: float
    rows_first: bool
    rows_last: bool
    row_power: float
    column_power: float


def _empty_columns(
    scores: Tensor,
    row: Tensor,
    epsilon: float,
    virtual: bool = False,
    prototypes: Tensor | None = None,
) -> Tensor:
    s, _, k = shape_of(scores, prototypes)
    return row.new_empty(s, k + virtual)


@op("sinkhorn_columns", _empty_columns, public=True)
def column_sums(
    scores: Tensor,
    row: Tensor,
    epsilon: float,
    virtual: bool = False,
    prototypes: Tensor | None = None,
) -> Tensor:
    """Give log sum_b exp(scores[s b k] / epsilon + row[s b]), [S K]; a virtual column of zero
    scores adds one.
    """
    room = scratch(scores, row, shape_of(scores, prototypes)[2] + virtual, prototypes)
    out = _empty_columns(scores, row, epsilon, virtual, prototypes)
    _core.sinkhorn.columns(scores, prototypes, epsilon, row, out, room, stream(scores))
    return out


def _empty_sweep(
    scores: Tensor, row: Tensor, column: Tensor, *rest: object
) -> tuple[Tensor, Tensor]:
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
    """Scale the rows, then sum the columns, in one read: new row potentials [S B], and
    column_sums() with them.

    A row's new potential is row_power (log_rows - log sum_k exp(scores / epsilon + column)).

    Args:
        scores: [S B K], or features.
        row: old potentials [S B], zeros at the start.
        column: [S K], or [S K+1] with a virtual column.
        log_rows: logarithms of the sums of rows [S B].
        epsilon: strength of the entropy.
        row_power: exponent of a relaxed row step.
        prototypes: of a product.
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
    """Give the plan, exp(scores / epsilon + row + column), [S B K]."""
    room = scratch(scores, column, column.shape[1], prototypes)
    out = _empty_plan(scores, row, column, epsilon, prototypes)
    check_potentials((scores, prototypes), (row, row), (column, column))
    _core.sinkhorn.plan(scores, prototypes, epsilon, row, column, out, room, stream(scores))
    return out


def _empty_labels(scores: Tensor, *rest: object) -> Tensor:
    return torch.empty(scores.shape[:2], dtype=torch.int64, device=scores.device)


@op("sinkhorn_labels", _empty_labels, public=True)
def write_labels(
    scores: Tensor, column: Tensor, epsilon: float, prototypes: Tensor | None = None
) -> Tensor:
    """Give the column with the largest share of each row, int64 [S B], from the columns'
    potentials.
    """
    room = scratch(scores, column, column.shape[1], prototypes)
    out = _empty_labels(scores)
    check_potentials((scores, prototypes), (column, column))
    _core.sinkhorn.labels(scores, prototypes, epsilon, column, out, room, stream(scores))
    return out


def scratch(scores: Tensor, like: Tensor, width: int, prototypes: Tensor | None = None) -> Tensor:
    """Allocate scratch of a function of the core.

    Call it before allocating outputs: then the allocator can reuse its block for the next chunk.
    """
    s, b, _ = scores.shape
    return like.new_empty(
        _core.sinkhorn.scratch(s, b, width, prototypes is not None, scores.is_cuda)
    )
