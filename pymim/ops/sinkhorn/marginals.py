"""Marginals: the wanted sums of a plan's rows and columns, and checks of sums and scores."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence

import torch
import torch.distributed as dist
from torch import Tensor

from pymim.ops.arrays import fill

MOST_ITERATIONS = 10**7
NOTHING = -1e29  # a row or column without mass has the logarithm -1e30, below this


def computed_dtype(scores: Tensor) -> torch.dtype:
    """Give the dtype that the solver computes in."""
    return torch.float64 if scores.dtype == torch.float64 else torch.float32


def sum_over_ranks(values: Tensor, group: dist.ProcessGroup | None) -> Tensor:
    """Sum `values` over all ranks; without a group, give `values`."""
    if group is None:
        return values
    values = values.clone()
    dist.all_reduce(values, group=group)
    return values


def widest(dtype: torch.dtype) -> float:
    """Give the largest potential whose exponential keeps nine bits: 2^14 in float32, 2^43 in
    float64.
    """
    return 2.0**-9 / torch.finfo(dtype).eps


def check_potentials(scores: Iterable[Tensor | None], *sides: tuple[Tensor, Tensor]) -> None:
    """Refuse scores that are not finite, or so wide that the plan would miss its sums.

    If a plan has mass, scores / epsilon are at most as large as the potentials, so only potentials
    are checked. On CUDA a check would stop the stream: there the kernels turn such potentials into
    NaN.

    Args:
        scores: the scores, or features and prototypes; None is skipped.
        sides: the potentials of a side, and the logarithms of its sums; potentials without mass may
            be anything.

    Raises:
        ValueError: scores are not finite, or too wide.
    """
    if sides[0][0].is_cuda:
        return
    most = widest(sides[0][0].dtype)
    if all(_within(potentials, most) for potentials, _ in sides):
        return
    for given in scores:
        _check_finite(given)
    reach = max(
        float(potentials[~(wanted <= NOTHING)].abs().nan_to_num(torch.inf).max())
        for potentials, wanted in sides
    )
    if reach > most:
        kind = str(sides[0][0].dtype).removeprefix("torch.")
        raise ValueError(
            f"sinkhorn: scores: expected scores / epsilon up to {most:.0f} "
            f"(what {kind} keeps the fractions of), got {reach:.3g}; "
            f"normalise them, raise epsilon{', or pass float64' * (kind == 'float32')}"
        )


def _within(potentials: Tensor, most: float) -> bool:
    """Tell whether all values are from -most to most; NaN is not."""
    if not potentials.numel():
        return True
    low, high = torch.aminmax(potentials)
    return -most <= low.item() and high.item() <= most


def _check_finite(given: Tensor | None) -> None:
    if given is None or bool(given.isfinite().all()):
        return
    row = int((~given.isfinite()).flatten(0, -2).any(-1).nonzero()[0]) % given.shape[-2]
    raise ValueError(
        f"sinkhorn: scores: expected finite numbers, got NaN or infinity in row {row}; "
        "look for where they are computed"
    )


def log_marginals(
    scores: Tensor,
    shape: Sequence[int],
    rows: Tensor | None,
    columns: Tensor | None,
    mass: float,
    group: dist.ProcessGroup | None = None,
) -> tuple[Tensor, Tensor]:
    """Give the logarithms of the sums of this rank's rows [S B] and of all columns [S K], or with a
    mass [S K+1].

    Args:
        scores: gives dtype and device.
        shape: S, B and K on this rank.
        rows: sums of the rows; None: uniform.
        columns: sums of the columns; None: uniform.
        mass: share of the total that is transported; 0: all, without a virtual column.
        group: ranks that hold the rows.

    Raises:
        ValueError: the batch is empty, a shape or device does not fit, a sum is negative, or totals
            differ.
    """
    s, b, k = shape
    if b < 1 or k < 1:
        raise ValueError(
            f"sinkhorn: scores: expected at least one row and column, got {list(shape)}; "
            "skip an empty batch"
        )
    given = rows is not None or columns is not None
    if not given and s > 1:
        # All problems have the same sums: compute one, and copy it.
        single = log_marginals(scores, (1, b, k), None, None, mass, group)
        repeated = tuple(each.new_empty(s, each.shape[1]) for each in single)
        for one, all_of_them in zip(single, repeated, strict=True):
            fill(all_of_them, one)
        return repeated  # type: ignore[return-value]
    ones = torch.ones(s, b, dtype=computed_dtype(scores), device=scores.device)
    if columns is not None:
        columns = _marginal("columns", columns, ones[:, :1].expand(s, k))
    if rows is not None:
        rows = _marginal("rows", rows, ones)
    elif columns is not None:
        rows = columns.sum(-1, True) / sum_over_ranks(ones.sum(-1, True), group) * ones
    else:
        rows = ones
    total = sum_over_ranks(rows.sum(-1, True), group)
    if columns is None:
        columns = (total / k).expand(s, k).contiguous()
    if given:
        _check_totals(total, columns.sum(-1, True))
    if mass > 0:
        columns = torch.cat([mass * columns, (1 - mass) * columns.sum(-1, True)], -1)
    return rows.log().clamp_min(-1e30), columns.log().clamp_min(-1e30)


def _marginal(name: str, given: Tensor, like: Tensor) -> Tensor:
    s, n = like.shape
    if given.shape not in ((n,), (s, n)):
        shape = list(given.shape)
        raise ValueError(
            f"sinkhorn: {name}: expected sums [{n}] or [{s} {n}], got {shape}; "
            "pass one sum for each"
        )
    if given.device != like.device:
        raise ValueError(
            f"sinkhorn: {name}: expected sums on {like.device}, got {given.device}; move them there"
        )
    if not given.is_cuda and not (given >= 0).all():
        raise ValueError(
            f"sinkhorn: {name}: expected sums of 0 or more, got a negative one or NaN; "
            "check how they are computed"
        )
    return given.to(like.dtype).expand(s, n).contiguous()


def _check_totals(rows: Tensor, columns: Tensor) -> None:
    if rows.is_cuda:
        return
    if not torch.allclose(rows, columns, rtol=1e-4, atol=0) or not (rows > 0).all():
        raise ValueError(
            f"sinkhorn: columns: expected the total of the rows, {rows.max().item():g}, "
            f"got {columns.max().item():g}; scale one to the other"
        )


def check_schedule(function: str, iterations: int, tolerance: float) -> None:
    """Refuse iterations that never start or end, and a negative tolerance."""
    if operator.index(iterations) < 1:
        raise ValueError(
            f"{function}: iterations: expected at least 1, got {iterations}; ask for more"
        )
    if iterations > MOST_ITERATIONS:
        raise ValueError(
            f"{function}: iterations: expected at most {MOST_ITERATIONS}, got {iterations}; "
            "lower it"
        )
    if not tolerance >= 0:
        raise ValueError(
            f"{function}: tolerance: expected 0 or more, got {tolerance}; "
            "pass 0 for a fixed number of iterations"
        )


def power(name: str, relax: float | None, epsilon: float) -> float:
    """Give the exponent of a half-step whose sums are penalised by relax KL; 1 without relax."""
    if relax is None:
        return 1.0
    if not relax > 0:
        raise ValueError(
            f"sinkhorn: {name}: expected a positive number, got {relax}; pass None to meet the sums"
        )
    return relax / (relax + epsilon)


def share(mass: float | None) -> float:
    """Give the mass; 0 stands for all of it, without a virtual column."""
    if mass is not None and not 0 < mass <= 1:
        raise ValueError(
            f"sinkhorn: mass: expected above 0 and at most 1, got {mass}; "
            "pass None to transport it all"
        )
    return 0.0 if mass is None else mass
