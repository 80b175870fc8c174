"""Sinkhorn for scores in pieces: rows split over ranks, or a product of features and prototypes
never stored whole.

Log-sums of columns combine like sums, over the ranks of a process group or over chunks of rows. So
an iteration still reads the scores once.
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
from pymim.ops.sinkhorn.steps import (
    Potentials,
    Schedule,
    column_sums,
    sweep,
    write_labels,
    write_plan,
)


class Pieces:
    """Scores as chunks of rows on this rank, with the half-steps over all chunks and ranks."""

    def __init__(
        self, scores: Tensor | Product, epsilon: float, group: dist.ProcessGroup | None
    ) -> None:
        self._scores, self._epsilon = scores, epsilon
        self._group = group
        _, count, k = shape_of(*apart(scores))
        # Rows of a chunk: all if the core takes the scores, else as many as make 2^21 scores.
        self._rows = max(1, count if in_core(scores) else min(count, max(64, 2**21 // max(1, k))))
        self._count = -(-count // self._rows)
        self._memory: Tensor | None = None

    def _chunks(self) -> Iterator[tuple[slice, Tensor, Tensor | None]]:
        if in_core(self._scores):
            yield slice(None), *apart(self._scores)
            return
        assert isinstance(self._scores, Product)
        features, prototypes = (x if x.dtype == torch.float64 else x.float() for x in self._scores)
        s, k = len(features), prototypes.shape[-2]
        rows = self._rows
        # All passes reuse one chunk's memory. Allocated again between results that stay, it would
        # rarely get the same block, and memory would fragment.
        memory = self._memory = (
            features.new_empty(s * rows * k) if self._memory is None else self._memory
        )
        for first in range(0, features.shape[1], rows):
            some = slice(first, first + rows)
            part = features[:, some]
            scores = memory[: s * part.shape[1] * k].view(s, part.shape[1], k)
            yield some, torch.matmul(part, prototypes.mT, out=scores), None

    def column_sums(self, row: Tensor, virtual: bool) -> Tensor:
        """Give the log-sums of all columns [S K]."""
        parts = (
            column_sums(x, row[:, at].contiguous(), self._epsilon, virtual, p)
            for at, x, p in self._chunks()
        )
        return self._combined(parts)

    def sweep(
        self, row: Tensor, column: Tensor, log_rows: Tensor, power: float
    ) -> tuple[Tensor, Tensor]:
        """Scale the rows, and give the new row potentials and the log-sums of all columns."""
        scaled = torch.empty_like(row)

        def parts() -> Iterator[Tensor]:
            for at, x, p in self._chunks():
                given = row[:, at].contiguous(), column, log_rows[:, at].contiguous()
                scaled[:, at], log_sums = sweep(x, *given, self._epsilon, power, p)
                yield log_sums

        log_sums = self._combined(parts())
        return scaled, log_sums

    def plan(self, row: Tensor, column: Tensor) -> Tensor:
        """Give the plan of this rank's rows [S B K]."""
        parts = [
            write_plan(x, row[:, at].contiguous(), column, self._epsilon, p)
            for at, x, p in self._chunks()
        ]
        return torch.cat(parts, 1) if len(parts) > 1 else parts[0]

    def labels(self, column: Tensor) -> Tensor:
        """Give the labels of this rank's rows [S B]."""
        return torch.cat(
            [write_labels(x, column, self._epsilon, p) for _, x, p in self._chunks()], 1
        )

    def _combined(self, parts: Iterator[Tensor]) -> Tensor:
        """Add the log-sums of chunks and ranks."""
        first = next(parts)
        # Copy each part at once: results kept between the scratch of two chunks fragment memory.
        table = first.new_empty(self._count, *first.shape)
        for number, part in enumerate(chain([first], parts)):
            table[number] = part
        log_sums = torch.logsumexp(table, 0) if len(table) > 1 else table[0]
        if self._group is None:
            return log_sums
        # logsumexp over ranks: exponentials relative to the largest cannot overflow.
        top = log_sums.clone()
        dist.all_reduce(top, dist.ReduceOp.MAX, self._group)
        return top + sum_over_ranks((log_sums - top).exp(), self._group).log()


def iterate(
    pieces: Pieces, log_rows: Tensor, log_columns: Tensor, k: int, schedule: Schedule
) -> list[Tensor]:
    """Run Sinkhorn's loop in half-steps: row, column, error [S], iterations [S]. All problems stop
    together.

    Mirrors the core's loop. A sweep scales the rows and sums the columns in one read of the scores,
    so the column step needs no read.
    """
    row, column = torch.zeros_like(log_rows), torch.zeros_like(log_columns)
    power = torch.ones_like(log_columns)
    power[:, :k] = schedule.column_power
    mass = log_columns.exp()

    def column_step(log_sums: Tensor) -> Tensor:
        return (power * (log_columns - log_sums)).clamp_min(-1e30)

    if not schedule.rows_first:
        column = column_step(pieces.column_sums(row, log_columns.shape[1] > k))
    # Rows first and last: rows are scaled once more than columns.
    sweeps = schedule.iterations + (schedule.rows_first and schedule.rows_last)
    for done in range(1, sweeps + 1):
        row, log_sums = pieces.sweep(row, column, log_rows, schedule.row_power)
        scaled = column_step(log_sums)
        missed = torch.where(mass > 0, mass * torch.expm1(column - scaled).abs(), 0)
        error = missed.sum(1) / mass.sum(1)
        stop = done == sweeps or (
            schedule.tolerance > 0 and bool((error <= schedule.tolerance).all())
        )
        # Keep the old columns if the plan has to end with the row step.
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
    """Give what the core's op gives, in the same order, for the same options."""
    values, prototypes = apart(scores)
    shape = shape_of(values, prototypes)
    marginals = log_marginals(values, shape, rows, columns, mass, group)
    pieces = Pieces(scores, schedule.epsilon, group)
    row, column, error, count = iterate(pieces, *marginals, shape[2], schedule)
    check_potentials((values, prototypes), *zip((row, column), marginals, strict=True))
    plan = (
        pieces.plan(row, column) if want in ("plan", "solution") else row.new_empty(shape[0], 0, 0)
    )
    labels = pieces.labels(column) if want == "labels" else count.new_empty(shape[0], 0)
    return plan, labels, row, column, error, count


class Sums(NamedTuple):
    """Sums of a plan's rows and columns."""

    rows: Tensor  # [S B] or [B]
    columns: Tensor  # [S K] or [K]


@accepts_numpy
def plan_sums(scores: Tensor | Product, potentials: Potentials, *, epsilon: float = 0.05) -> Sums:
    """Give the sums of a plan's rows and columns from its potentials, without writing the plan.

    A virtual column is left out. Cost: two reads of the scores.

    Args:
        scores: the scores of the potentials.
        potentials: as potentials() gives them.
        epsilon: the epsilon of the potentials.
    """
    batched, single = problems(scores)
    row, column = (each[None] if single else each for each in potentials[:2])
    pieces = Pieces(batched, epsilon, None)
    column = column[:, : shape_of(*apart(batched))[2]].contiguous()
    check_potentials(apart(batched), (row, row), (column, column))
    wanted, _ = pieces.sweep(row, column, torch.zeros_like(row), 1.0)
    found = (row - wanted).exp(), (column + pieces.column_sums(row, False)).exp()
    return Sums(*(each.squeeze(0) for each in found)) if single else Sums(*found)
