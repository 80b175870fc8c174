"""Symmetric Sinkhorn: one potential for rows and columns; each step goes half the way."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

from pymim.ops.arrays import accepts_numpy
from pymim.ops.sinkhorn.marginals import (
    check_potentials,
    check_schedule,
    computed_dtype,
    sum_over_ranks,
)
from pymim.ops.sinkhorn.pieces import Pieces
from pymim.ops.sinkhorn.scores import Product, apart, problems
from pymim.ops.sinkhorn.steps import Potentials, Solution


@accepts_numpy
def doubly_stochastic(
    affinity: Tensor | Product,
    *,
    epsilon: float = 0.05,
    iterations: int = 100,
    tolerance: float = 1e-4,
    group: dist.ProcessGroup | None = None,
) -> Solution:
    """Scale exp(affinity / epsilon), symmetric, so that rows and columns sum to 1 and it stays
    symmetric.

    P[i j] = exp(affinity[i j] / epsilon + row[i] + row[j]), by half-way steps of both sides at once
    (Knight et al. 2014): row <- (row - log sum_j exp(affinity[i j] / epsilon + row[j])) / 2. An
    iteration reads the affinity once. CPP (Chu et al. 2024) and MLC (Ding et al. 2023) alternate
    sides: that is plan(affinity, ...).

    Args:
        affinity: symmetric, [N N] or [S N N], any dtype of solve(); or a Product of N points with
            themselves.
        epsilon: strength of the entropy.
        iterations: most iterations.
        tolerance: stop once `error` is at most this.
        group: a process group whose ranks hold the rows in rank order, each at least one: pass this
            rank's rows [n N], or the Product of its points with all points. An iteration
            all-reduces N numbers.

    Returns:
        Solution: the plan and `row` of this rank's rows, `column` of all rows. `error` is mean |row
            sum - 1| before the last step.

    Raises:
        ValueError: as solve(), or the affinity is not symmetric (checked on the CPU only, by each
            rank among its own points).
    """
    check_schedule("doubly_stochastic", iterations, tolerance)
    batched, single = problems(affinity)
    like, _ = apart(batched)
    mine, n = _own_rows(like, group)
    _check_symmetric(batched, mine, n)
    pieces = Pieces(batched, epsilon, group)
    row = torch.zeros(len(like), n, dtype=computed_dtype(like), device=like.device)
    for done in range(1, iterations + 1):
        # By symmetry the sums of columns are those of rows, and columns reduce over ranks.
        scaled = -pieces.column_sums(row[:, mine], False)
        error = torch.expm1(row - scaled).abs().mean(1)
        row, count = (row + scaled) / 2, torch.full(error.shape, done, device=error.device)
        if tolerance > 0 and bool((error <= tolerance).all()):
            break
    check_potentials(apart(batched), (row, torch.zeros_like(row)))
    found = [pieces.plan(row[:, mine], row), row[:, mine], row, error, count]
    plan, *rest = [each.squeeze(0) for each in found] if single else found
    return Solution(plan, Potentials(*rest))


def _own_rows(like: Tensor, group: dist.ProcessGroup | None) -> tuple[slice, int]:
    """Give the slice of this rank's rows among all rows, and the number of all rows."""
    rows = like.shape[1]
    if group is None:
        return slice(rows), rows
    counts = torch.zeros(group.size(), dtype=torch.int64, device=like.device)
    counts[group.rank()] = rows
    counts = sum_over_ranks(counts, group).cpu()
    first = int(counts[: group.rank()].sum())
    return slice(first, first + rows), int(counts.sum())


def _check_symmetric(affinity: Tensor | Product, mine: slice, n: int) -> None:
    if isinstance(affinity, Product):
        ours, square = (
            affinity.features,
            affinity.prototypes.shape[:2] == (len(affinity.features), n),
        )
        mirrored = affinity.prototypes[:, mine]
    else:
        ours, square = affinity[:, :, mine], affinity.shape[2] == n
        mirrored = ours.mT
    if not square or (not ours.is_cuda and not torch.equal(ours, mirrored)):
        raise ValueError(
            "doubly_stochastic: affinity: expected a symmetric one, got another; "
            "pass (A + A.mT) / 2"
        )
