"""The plan, its labels and its potentials, in one call of the core, or in half-steps if that is
impossible.
"""

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
    """Options of a transport. Tensors have the solver's dtype: float64 for float64 scores,
    otherwise float32.

    Args:
        epsilon: strength of the entropy, default .05; larger is softer. It divides the scores.
        iterations: how often both sides are scaled, default 3; with a tolerance, the most.
        tolerance: stop once `error` is at most this; default 0, a fixed number of iterations.
        first: the side that an iteration starts with; default "columns".
        last: the side scaled at the very end; default "rows". If it is `first` too, that side is
            scaled once more than the other.
        rows: sums of the rows, [B], or [S B] for each problem. Default: uniform, with the total of
            the columns.
        columns: sums of the columns, [K] or [S K]. Default: uniform, with the total of the rows.
        row_relax: gamma of a penalty gamma KL(sums | wanted) in place of exact row sums, in the
            objective <-scores, P> + epsilon sum P (log P - 1) (Chizat et al. 2018; P2OT, Zhang et
            al. 2024).
        column_relax: the same for columns.
        mass: share of the total to transport: a virtual column of zero scores takes the rest, so
            rows may sum to less than wanted, and each column wants `mass` of its share (P2OT).
        group: a process group whose ranks hold the rows, each at least one; `rows` are this rank's,
            `columns` everybody's. The plan is that of one process with all rows.
        domain: "auto", the default, multiplies by the scalings, which is faster on a CPU, and uses
            the log domain for each problem whose sums leave the range where that is exact; "log"
            always uses it. They agree to rounding. CUDA, half-steps and chunks always use the log
            domain.
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
    """Give the plan and its potentials.

    Args:
        scores: float32, float64, bfloat16 or float16 [B K], or S independent problems [S B K];
            finite. Or a Product of features and prototypes, whose scores are never stored whole: on
            the CPU they are computed some rows at a time, on CUDA inside the solver, tile by tile.
        options: see Options.

    Raises:
        ValueError: an option is out of range, totals differ, a shape does not fit, or a score is
            not finite, or so wide that a potential exceeds 2^14 (2^43 in float64) and loses its
            fraction. (On CUDA values are not checked, which would stop the stream: such a score
            makes the plan NaN and labels -1.)
        TypeError: a dtype is not supported.

    Cost: O(S B K) a pass, iterations + 1 reads of the scores, and one write of the plan. For a
    Product on CUDA two products an iteration, and besides the plan memory linear in B and K.
    """
    plan, _, *potentials = _solve(scores, "solution", **options)
    return Solution(plan, Potentials(*potentials))


@accepts_numpy
def plan(scores: Tensor | Product, **options: Unpack[Options]) -> Tensor:
    """Give the plan alone, as solve(): soft labels of the rows.
    Example:
        >>> scores = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.8, 0.0]])
        >>> plan(scores, epsilon=0.5, iterations=100).sum(0)
        tensor([1.5000, 1.5000])
    """
    return _solve(scores, "plan", **options)[0]


@accepts_numpy
def labels(scores: Tensor | Product, **options: Unpack[Options]) -> Tensor:
    """Give the column with the largest share of each row of the plan, int64 [S B] or [B].

    Ties go to the first (SeLa, Asano et al. 2020; SIGMA, Salehi et al. 2024). As solve(), but
    writes no plan.
    """
    return _solve(scores, "labels", **options)[1]


@accepts_numpy
def potentials(scores: Tensor | Product, **options: Unpack[Options]) -> Potentials:
    """Give the potentials alone. As solve(), but writes no plan."""
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
        raise ValueError(
            f'sinkhorn: domain: expected "auto" or "log", got {domain!r}; choose one of them'
        )
    for name, side in (("first", first), ("last", last)):
        if side not in ("rows", "columns"):
            raise ValueError(
                f'sinkhorn: {name}: expected "rows" or "columns", got {side!r}; choose one of them'
            )
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
