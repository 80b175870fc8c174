"""Sinkhorn in half-steps, for scores that are not all in one place: rows split over ranks, or scores that are a
product of features and prototypes and are never stored whole.

Log-sums of columns combine like sums: over the ranks of a process group, or over chunks of rows. One read of the
scores makes an iteration here too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from pymim import _core
from pymim.ops.arrays import accepts_numpy, stream
from pymim.ops.sinkhorn_marginals import check_finite, log_marginals, sum_over_ranks
from pymim.ops.sinkhorn_scores import Product, apart, in_core, problems, shape_of


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


@torch.library.custom_op("pymim::sinkhorn_columns", mutates_args=())
def column_sums(
    scores: Tensor, row: Tensor, epsilon: float, virtual: bool = False, prototypes: Tensor | None = None
) -> Tensor:
    """log sum_b exp(scores[s b k] / epsilon + row[s b]), [S K]; a virtual column of zero scores adds one more.

    Here and below: beside prototypes, on CUDA, `scores` are the features.
    """
    s, _, k = shape_of(scores, prototypes)
    room = scratch(scores, row, k + virtual, prototypes)
    out = row.new_empty(s, k + virtual)
    _core.sinkhorn.columns(scores, prototypes, epsilon, row, out, room, stream(scores))
    return out


@column_sums.register_fake
def _(
    scores: Tensor, row: Tensor, epsilon: float, virtual: bool = False, prototypes: Tensor | None = None
) -> Tensor:
    s, _, k = shape_of(scores, prototypes)
    return row.new_empty(s, k + virtual)


@torch.library.custom_op("pymim::sinkhorn_sweep", mutates_args=())
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


@sweep.register_fake
def _(
    scores: Tensor,
    row: Tensor,
    column: Tensor,
    log_rows: Tensor,
    epsilon: float,
    row_power: float = 1.0,
    prototypes: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    return torch.empty_like(row), torch.empty_like(column)


@torch.library.custom_op("pymim::sinkhorn_plan", mutates_args=())
def write_plan(
    scores: Tensor, row: Tensor, column: Tensor, epsilon: float, prototypes: Tensor | None = None
) -> Tensor:
    """exp(scores / epsilon + row + column), [S B K]."""
    room = scratch(scores, column, column.shape[1], prototypes)
    out = row.new_empty(shape_of(scores, prototypes))
    _core.sinkhorn.plan(scores, prototypes, epsilon, row, column, out, room, stream(scores))
    return out


@write_plan.register_fake
def _(scores: Tensor, row: Tensor, column: Tensor, epsilon: float, prototypes: Tensor | None = None) -> Tensor:
    return row.new_empty(shape_of(scores, prototypes))


@torch.library.custom_op("pymim::sinkhorn_labels", mutates_args=())
def write_labels(scores: Tensor, column: Tensor, epsilon: float, prototypes: Tensor | None = None) -> Tensor:
    """The column with the most of each row, int64 [S B], straight from the columns' potentials."""
    room = scratch(scores, column, column.shape[1], prototypes)
    out = torch.empty(scores.shape[:2], dtype=torch.int64, device=scores.device)
    _core.sinkhorn.labels(scores, prototypes, epsilon, column, out, room, stream(scores))
    return out


@write_labels.register_fake
def _(scores: Tensor, column: Tensor, epsilon: float, prototypes: Tensor | None = None) -> Tensor:
    return torch.empty(scores.shape[:2], dtype=torch.int64, device=scores.device)


def scratch(scores: Tensor, like: Tensor, width: int, prototypes: Tensor | None = None) -> Tensor:
    """The memory a function of the core works in. Take it before what stays: freed, it leaves room for the next."""
    s, b, _ = scores.shape
    return like.new_empty(_core.sinkhorn.scratch(s, b, width, prototypes is not None, scores.is_cuda))


class Pieces:
    """Scores as a sequence of chunks of rows on this rank, with the half-steps over all chunks and ranks."""

    def __init__(self, scores: Tensor | Product, epsilon: float, group: dist.ProcessGroup | None) -> None:
        self._scores, self._epsilon, self._group = scores, epsilon, group

    def _chunks(self) -> Iterator[tuple[slice, Tensor, Tensor | None]]:
        if in_core(self._scores):
            yield slice(None), *apart(self._scores)
            return
        assert isinstance(self._scores, Product)
        features, prototypes = (x if x.dtype == torch.float64 else x.float() for x in self._scores)
        s, k = len(features), prototypes.shape[-2]
        rows = min(features.shape[1], max(64, 2**21 // k))
        # One chunk's memory serves all: freed and taken anew between results that stay, it would never be the same.
        memory = features.new_empty(s * rows * k)
        for first in range(0, features.shape[1], rows):
            some = slice(first, first + rows)
            part = features[:, some]
            scores = memory[: s * part.shape[1] * k].view(s, part.shape[1], k)
            yield some, torch.matmul(part, prototypes.mT, out=scores), None

    def column_sums(self, row: Tensor, virtual: bool) -> Tensor:
        parts = [column_sums(x, row[:, at].contiguous(), self._epsilon, virtual, p) for at, x, p in self._chunks()]
        return self._combined(parts)

    def sweep(self, row: Tensor, column: Tensor, log_rows: Tensor, power: float) -> tuple[Tensor, Tensor]:
        parts = [
            sweep(x, row[:, at].contiguous(), column, log_rows[:, at].contiguous(), self._epsilon, power, p)
            for at, x, p in self._chunks()
        ]
        return torch.cat([part[0] for part in parts], 1), self._combined([part[1] for part in parts])

    def plan(self, row: Tensor, column: Tensor) -> Tensor:
        parts = [write_plan(x, row[:, at].contiguous(), column, self._epsilon, p) for at, x, p in self._chunks()]
        return torch.cat(parts, 1) if len(parts) > 1 else parts[0]

    def labels(self, column: Tensor) -> Tensor:
        return torch.cat([write_labels(x, column, self._epsilon, p) for _, x, p in self._chunks()], 1)

    def _combined(self, parts: list[Tensor]) -> Tensor:
        log_sums = torch.logsumexp(torch.stack(parts), 0) if len(parts) > 1 else parts[0]
        if self._group is None:
            return log_sums
        top = log_sums.clone()
        dist.all_reduce(top, dist.ReduceOp.MAX, self._group)
        return top + sum_over_ranks((log_sums - top).exp(), self._group).log()


def iterate(pieces: Pieces, log_rows: Tensor, log_columns: Tensor, k: int, schedule: Schedule) -> list[Tensor]:
    """The loop of the core, in half-steps: row, column, error [S], iterations [S]. All problems stop together."""
    row, column = torch.zeros_like(log_rows), torch.zeros_like(log_columns)
    power = torch.ones_like(log_columns)
    power[:, :k] = schedule.column_power
    mass = log_columns.exp()

    def column_step(log_sums: Tensor) -> Tensor:
        return (power * (log_columns - log_sums)).clamp_min(-1e30)

    if not schedule.rows_first:
        column = column_step(pieces.column_sums(row, log_columns.shape[1] > k))
    sweeps = schedule.iterations + (schedule.rows_first and schedule.rows_last)
    for done in range(1, sweeps + 1):
        row, log_sums = pieces.sweep(row, column, log_rows, schedule.row_power)
        scaled = column_step(log_sums)
        missed = torch.where(mass > 0, mass * torch.expm1(column - scaled).abs(), 0)
        error = missed.sum(1) / mass.sum(1)
        stop = done == sweeps or (schedule.tolerance > 0 and bool((error <= schedule.tolerance).all()))
        if not (stop and schedule.rows_last):
            column = scaled
        if stop:
            break
    count = min(done, schedule.iterations)
    return [row, column, error, torch.full(error.shape, count, device=error.device)]


def solve_in_steps(
    group: dist.ProcessGroup | None,
    scores: Tensor | Product,
    rows: Tensor | None,
    columns: Tensor | None,
    *options: Any,
) -> tuple[Tensor, ...]:
    """What the op of the core returns, in the same order, for the same options."""
    schedule, (mass, want) = Schedule(*options[:-2]), options[-2:]
    if schedule.iterations < 1:
        raise ValueError(f"sinkhorn: iterations: expected at least 1, got {schedule.iterations}; ask for 3")
    values, prototypes = apart(scores)
    shape = shape_of(values, prototypes)
    marginals = log_marginals(values, shape, rows, columns, mass, group)
    pieces = Pieces(scores, schedule.epsilon, group)
    row, column, error, count = iterate(pieces, *marginals, shape[2], schedule)
    check_finite(row)
    plan = pieces.plan(row, column) if want in ("plan", "solution") else row.new_empty(shape[0], 0, 0)
    labels = pieces.labels(column) if want == "labels" else count.new_empty(shape[0], 0)
    return plan, labels, row, column, error, count


class Sums(NamedTuple):
    rows: Tensor  # [S B] or [B]
    columns: Tensor  # [S K] or [K]


@accepts_numpy
def plan_sums(scores: Tensor | Product, potentials: Potentials, *, epsilon: float = 0.05) -> Sums:
    """What the rows and columns of a plan sum to, from its potentials, without writing it; a virtual column is
    left out.

    Args:
        scores, epsilon: those the potentials are of.
        potentials: as potentials() gives them.
    Cost: two reads of the scores.
    """
    batched, single = problems(scores)
    row, column = (each[None] if single else each for each in potentials[:2])
    pieces = Pieces(batched, epsilon, None)
    column = column[:, : shape_of(*apart(batched))[2]].contiguous()
    wanted, _ = pieces.sweep(row, column, torch.zeros_like(row), 1.0)
    found = (row - wanted).exp(), (column + pieces.column_sums(row, False)).exp()
    return Sums(*(each.squeeze(0) for each in found)) if single else Sums(*found)
