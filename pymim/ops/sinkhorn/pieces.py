"""Sinkhorn for scores that are not all in one place: rows split over ranks, or a product of features and
prototypes that is never stored whole.

Log-sums of columns combine like sums: over the ranks of a process group, or over chunks of rows. One read of the
scores makes an iteration here too.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from pymim.ops.arrays import accepts_numpy
from pymim.ops.sinkhorn.marginals import check_potentials, log_marginals, sum_over_ranks
from pymim.ops.sinkhorn.scores import Product, apart, in_core, problems, shape_of
from pymim.ops.sinkhorn.steps import Potentials, Schedule, column_sums, sweep, write_labels, write_plan


class Pieces:
    """Scores as a sequence of chunks of rows on this rank, with the half-steps over all chunks and ranks."""

    def __init__(self, scores: Tensor | Product, epsilon: float, group: dist.ProcessGroup | None) -> None:
        self._scores, self._epsilon, self._group = scores, epsilon, group
        _, count, k = shape_of(*apart(scores))
        self._rows = max(1, count if in_core(scores) else min(count, max(64, 2**21 // max(1, k))))  # of a chunk
        self._count = -(-count // self._rows)
        self._memory: Tensor | None = None

    def _chunks(self) -> Iterator[tuple[slice, Tensor, Tensor | None]]:
        if in_core(self._scores):
            yield slice(None), *apart(self._scores)
            return
        assert isinstance(self._scores, Product)
        features, prototypes = (x if x.dtype == torch.float64 else x.float() for x in self._scores)
        s, k, rows = len(features), prototypes.shape[-2], self._rows
        # One chunk's memory serves all passes: taken anew between results that stay, it would never be the same.
        memory = self._memory = features.new_empty(s * rows * k) if self._memory is None else self._memory
        for first in range(0, features.shape[1], rows):
            some = slice(first, first + rows)
            part = features[:, some]
            scores = memory[: s * part.shape[1] * k].view(s, part.shape[1], k)
            yield some, torch.matmul(part, prototypes.mT, out=scores), None

    def column_sums(self, row: Tensor, virtual: bool) -> Tensor:
        parts = (column_sums(x, row[:, at].contiguous(), self._epsilon, virtual, p) for at, x, p in self._chunks())
        return self._combined(parts)

    def sweep(self, row: Tensor, column: Tensor, log_rows: Tensor, power: float) -> tuple[Tensor, Tensor]:
        scaled = torch.empty_like(row)

        def parts() -> Iterator[Tensor]:
            for at, x, p in self._chunks():
                given = row[:, at].contiguous(), column, log_rows[:, at].contiguous()
                scaled[:, at], log_sums = sweep(x, *given, self._epsilon, power, p)
                yield log_sums

        log_sums = self._combined(parts())
        return scaled, log_sums

    def plan(self, row: Tensor, column: Tensor) -> Tensor:
        parts = [write_plan(x, row[:, at].contiguous(), column, self._epsilon, p) for at, x, p in self._chunks()]
        return torch.cat(parts, 1) if len(parts) > 1 else parts[0]

    def labels(self, column: Tensor) -> Tensor:
        return torch.cat([write_labels(x, column, self._epsilon, p) for _, x, p in self._chunks()], 1)

    def _combined(self, parts: Iterator[Tensor]) -> Tensor:
        """Add up the log-sums of chunks and ranks."""
        first = next(parts)
        # Copied at once: results that stay between one chunk's scratch and the next leave holes that fit neither.
        table = first.new_empty(self._count, *first.shape)
        for number, part in enumerate(chain([first], parts)):
            table[number] = part
        log_sums = torch.logsumexp(table, 0) if len(table) > 1 else table[0]
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
    schedule: Schedule,
    mass: float,
    want: str,
) -> tuple[Tensor, ...]:
    """What the op of the core returns, in the same order, for the same options."""
    values, prototypes = apart(scores)
    shape = shape_of(values, prototypes)
    marginals = log_marginals(values, shape, rows, columns, mass, group)
    pieces = Pieces(scores, schedule.epsilon, group)
    row, column, error, count = iterate(pieces, *marginals, shape[2], schedule)
    check_potentials((values, prototypes), *zip((row, column), marginals, strict=True))
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
    check_potentials(apart(batched), (row, row), (column, column))
    wanted, _ = pieces.sweep(row, column, torch.zeros_like(row), 1.0)
    found = (row - wanted).exp(), (column + pieces.column_sums(row, False)).exp()
    return Sums(*(each.squeeze(0) for each in found)) if single else Sums(*found)
