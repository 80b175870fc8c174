"""The plan, its labels and its potentials: in one call of the core, or in half-steps where that cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypedDict

import torch
import torch.distributed as dist
from torch import Tensor
from typing_extensions import Unpack

from pymim import _core
from pymim.ops.arrays import accepts_numpy, fill, stream
from pymim.ops.register import op
from pymim.ops.sinkhorn.marginals import (
    check_potentials,
    check_schedule,
    computed_dtype,
    log_marginals,
    power,
    share,
)
from pymim.ops.sinkhorn.pieces import solve_in_steps
from pymim.ops.sinkhorn.scores import Product, apart, in_core, problems, shape_of
from pymim.ops.sinkhorn.steps import Potentials, Schedule, Solution, scratch

Side = Literal["rows", "columns"]
Domain = Literal["auto", "log"]


class Options(TypedDict, total=False):
    """How to transport. Tensors are in the dtype the solver computes in: float64 for float64 scores, else float32.

    epsilon: the strength of the entropy, default .05; the larger the softer. Scores are divided by it.
    iterations: how many times both sides are scaled, default 3; the most, where there is a tolerance.
    tolerance: stop once `error` is at most this; default 0, a fixed number of iterations.
    first, last: the side an iteration begins with, default "columns", and the side that is scaled at the very end,
        default "rows". Where both are the same side it is scaled once more than the other.
    rows, columns: what they sum to, [B] and [K] or one for each problem [S B] and [S K]. A side that is not given
        is uniform with the total of the other.
    row_relax, column_relax: gamma, where a side's sums are only asked for, by gamma KL(sums | wanted) in the
        objective <-scores, P> + epsilon sum P (log P - 1) (Chizat et al. 2018; P2OT, Zhang et al. 2024).
    mass: transport only this share of the total: a virtual column of zero scores takes the rest, so rows may sum
        to less than is wanted, and each column is asked for `mass` of its share (P2OT).
    group: a process group whose ranks hold the rows between them, in any split of at least one each; `rows` are
        this rank's, `columns` everybody's. The plan is that of one process that has all rows.
    domain: "auto", the default, multiplies by the scalings themselves, faster on a CPU, and solves in the log
        domain each problem one of whose sums leaves the range where that is exact; "log" always does. They agree
        to rounding. CUDA, half-steps and chunks are always in the log domain.
    """

    epsilon: float
    iterations: int
    tolerance: float
    first: Side
    last: Side
    rows: Tensor | None
    columns: Tensor | None
    row_relax: float | None
    column_relax: float | None
    mass: float | None
    group: dist.ProcessGroup | None
    domain: Domain


@accepts_numpy
def solve(scores: Tensor | Product, **options: Unpack[Options]) -> Solution:
    """The plan and its potentials.

    Args:
        scores: float32, float64, bfloat16 or float16 [B K], or S independent problems [S B K]. Finite. Or a
            Product of features and prototypes, whose scores are never stored whole: on the CPU they are made some
            rows at a time, on CUDA inside the solver, tile by tile.
        options: see Options.
    Raises:
        ValueError: an option is out of range, the sums of the two sides have different totals, a shape does not
            fit, or a score is not finite, or so wide that a potential is beyond 2^14 (2^43 in float64), where
            its fractions are lost. (On CUDA, where looking at values would stop the stream, such a
            score makes the plan NaN and labels -1.) TypeError: a dtype is not taken.
    Cost: O(S B K) a pass, iterations + 1 reads of the scores, and one write of the plan. For a Product on CUDA two
        products an iteration, and beside the plan memory that is linear in B and K.
    """
    plan, _, *potentials = _solve(scores, "solution", **options)
    return Solution(plan, Potentials(*potentials))


@accepts_numpy
def plan(scores: Tensor | Product, **options: Unpack[Options]) -> Tensor:
    """The plan alone, as solve() gives it: soft labels of the rows."""
    return _solve(scores, "plan", **options)[0]


@accepts_numpy
def labels(scores: Tensor | Product, **options: Unpack[Options]) -> Tensor:
    """int64 [S B] or [B]: the column that has the most of each row of the plan, of equals the first (SeLa, Asano et
    al. 2020; SIGMA, Salehi et al. 2024). As solve(), but no plan is written."""
    return _solve(scores, "labels", **options)[1]


@accepts_numpy
def potentials(scores: Tensor | Product, **options: Unpack[Options]) -> Potentials:
    """The potentials alone. As solve(), but no plan is written."""
    return Potentials(*_solve(scores, "potentials", **options)[2:])


def _solve(
    scores: Tensor | Product,
    want: str,
    *,
    epsilon: float = 0.05,
    iterations: int = 3,
    tolerance: float = 0.0,
    first: Side = "columns",
    last: Side = "rows",
    rows: Tensor | None = None,
    columns: Tensor | None = None,
    row_relax: float | None = None,
    column_relax: float | None = None,
    mass: float | None = None,
    group: dist.ProcessGroup | None = None,
    domain: Domain = "auto",
) -> list[Tensor]:
    if domain not in ("auto", "log"):
        raise ValueError(f'sinkhorn: domain: expected "auto" or "log", got {domain!r}; name one of them')
    for name, side in (("first", first), ("last", last)):
        if side not in ("rows", "columns"):
            raise ValueError(f'sinkhorn: {name}: expected "rows" or "columns", got {side!r}; name one of them')
    check_schedule("sinkhorn", iterations, tolerance)
    powers = power("row_relax", row_relax, epsilon), power("column_relax", column_relax, epsilon)
    schedule = Schedule(epsilon, iterations, tolerance, first == "rows", last == "rows", *powers)
    batched, single = problems(scores)
    if group is None and in_core(batched):
        values, prototypes = apart(batched)
        out: Sequence[Tensor] = _transport(
            values, rows, columns, *schedule, share(mass), want, domain == "log", prototypes
        )
    else:
        out = solve_in_steps(group, batched, rows, columns, schedule, share(mass), want)
    return [each.squeeze(0) for each in out] if single else [*out]


def _outputs(
    scores: Tensor, mass: float, want: str, prototypes: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    s, b, k = shape_of(scores, prototypes)
    computed = torch.empty((), dtype=computed_dtype(scores), device=scores.device)
    return (
        computed.new_empty((s, b, k) if want in ("plan", "solution") else (s, 0, 0)),
        computed.new_empty((s, b) if want == "labels" else (s, 0), dtype=torch.int64),
        computed.new_empty((s, b)),
        computed.new_empty((s, k + (mass > 0))),
        computed.new_empty(s if want in ("potentials", "solution") else 0),
        computed.new_empty(s, dtype=torch.int64),
    )


def _empty_solution(
    scores: Tensor,
    rows: Tensor | None,
    columns: Tensor | None,
    epsilon: float,
    iterations: int,
    tolerance: float,
    rows_first: bool,
    rows_last: bool,
    row_power: float,
    column_power: float,
    mass: float,
    want: str,
    log_domain: bool = False,
    prototypes: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    return _outputs(scores, mass, want, prototypes)


@op("sinkhorn", _empty_solution)
def _transport(
    scores: Tensor,
    rows: Tensor | None,
    columns: Tensor | None,
    epsilon: float,
    iterations: int,
    tolerance: float,
    rows_first: bool,
    rows_last: bool,
    row_power: float,
    column_power: float,
    mass: float,
    want: str,
    log_domain: bool = False,
    prototypes: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    out = _outputs(scores, mass, want, prototypes)
    plan, labels, row, column, error, count = out
    if not len(scores):
        return out
    fill(row, 0.0)
    fill(column, 0.0)
    log_rows, log_columns = log_marginals(scores, shape_of(scores, prototypes), rows, columns, mass)
    _core.sinkhorn.solve(
        scores,
        prototypes,
        epsilon,
        log_rows,
        log_columns,
        row_power,
        column_power,
        iterations,
        rows_first,
        rows_last,
        tolerance,
        log_domain,
        row,
        column,
        plan if plan.numel() else None,
        labels if want == "labels" else None,
        error if len(error) else None,
        count,
        scratch(scores, column, column.shape[1], prototypes),
        stream(scores),
    )
    check_potentials((scores, prototypes), (row, log_rows), (column, log_columns))
    return out
