"""The half-steps of Lloyd's algorithm. Between accumulate and update, add or all-reduce."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from pymim import _core
from pymim.ops.arrays import accepts_numpy, stream
from pymim.ops.register import op

Metric = Literal["l2", "cosine"]
Empty = Literal["split", "keep"]


class Assignment(NamedTuple):
    """The nearest centroid of each row."""

    labels: Tensor  # int64 [B]
    distances: Tensor  # float32 [B]


class Statistics(NamedTuple):
    """What a pass over the data leaves behind, in float64; `errors.sum()` is the objective."""

    sums: Tensor  # [K D] weighted sums of the rows
    counts: Tensor  # [K] total weight
    errors: Tensor  # [K] weighted sums of distances

    @classmethod
    def zeros(cls, clusters: int, width: int, device: torch.device | str | None = None) -> Statistics:
        """Statistics of no rows at all."""
        shapes = ((clusters, width), (clusters,), (clusters,))
        return cls(*(torch.zeros(shape, dtype=torch.float64, device=device) for shape in shapes))


def is_cosine(function: str, metric: str) -> bool:
    """Whether `metric` is the cosine; refuses what is not a metric."""
    if metric not in ("l2", "cosine"):
        raise ValueError(f"{function}: metric: expected 'l2' or 'cosine', got {metric!r}; choose one of them")
    return metric == "cosine"


def _where(tensor: Tensor) -> tuple[bool, int]:
    return tensor.is_cuda, tensor.device.index or 0


def _scratch(like: Tensor, size: int) -> Tensor:
    return like.new_empty(size, dtype=torch.uint8)


def check_rank(function: str, name: str, tensor: Tensor, rank: int) -> None:
    if not isinstance(tensor, Tensor):
        got = type(tensor).__name__
        raise TypeError(f"{function}: {name}: expected a tensor or array, got {got}; convert it first")
    if tensor.dim() != rank:
        raise ValueError(f"{function}: {name}: expected {rank} axes, got {tensor.dim()}; reshape it")


def check_rows(function: str, name: str, points: Tensor, first: int = 0) -> None:
    """Refuses rows that distances cannot be computed from, by the number that the caller knows them by."""
    bad = (~points.float().square().sum(1).isfinite()).nonzero()
    if len(bad):
        raise ValueError(
            f"{function}: {name}: expected rows whose squares sum to a finite float, got row {first + int(bad[0])} "
            "with NaN, infinity or an overflow; remove or rescale it"
        )


def check_weights(function: str, weights: Tensor, first: int = 0) -> None:
    """Refuses weights that are negative or not finite."""
    bad = (~((weights >= 0) & weights.isfinite())).nonzero()
    if len(bad):
        row = int(bad[0])
        raise ValueError(
            f"{function}: weights: expected finite and not negative, got {float(weights[row])} at row "
            f"{first + row}; drop such rows instead"
        )


def _empty(points: Tensor, *rest: object) -> tuple[Tensor, Tensor]:
    b = points.shape[0]
    return points.new_empty(b, dtype=torch.int64), points.new_empty(b, dtype=torch.float32)


@op("kmeans_assign", _empty)
def _assign(points: Tensor, centroids: Tensor, cosine: bool) -> tuple[Tensor, Tensor]:
    out = _empty(points)
    sizes = len(points), len(centroids), points.shape[1]
    workspace = _scratch(points, _core.kmeans.assign_workspace(*_where(points), *sizes))
    _core.kmeans.assign(points, centroids, cosine, workspace, *out, stream(points))
    return out


@accepts_numpy
def assign(points: Tensor, centroids: Tensor, *, metric: Metric = "l2") -> Assignment:
    """The nearest centroid of each row: argmin_k d(x, c_k), of equally near ones the lower id.

    d is |x - c|^2 for "l2" and 1 - x.c / (|x| |c|) for "cosine", where a zero row or centroid is at distance 1
    from everything. Exact: d is computed in float32 without expanding the square, so rows far from the origin
    and rows equal to a centroid are right; only for which of the centroids it is computed comes from an
    approximate product with a proven error bound.

    Args:
        points: [B D], float32, bfloat16 or float16, contiguous.
        centroids: float32 [K D], K > 0, on the device of `points`.
        metric: "l2" or "cosine".
    Returns:
        Assignment. On CUDA a row that is not finite has label -1 and distance NaN.
    Raises:
        ValueError: a shape does not fit, or (on the CPU) a row is not finite; TypeError: another dtype.
    Cost: O(B K D) time; O(K D) scratch on the CPU, O((B + K) D) on CUDA: nothing of size B K is stored.
    """
    cosine = is_cosine("assign", metric)
    check_rank("assign", "points", points, 2)
    return Assignment(*_assign(points.detach(), centroids.detach(), cosine))


@op("kmeans_accumulate", lambda *arguments: None, mutates=Statistics._fields)
def _accumulate(
    points: Tensor,
    labels: Tensor,
    weights: Tensor | None,
    distances: Tensor,
    cosine: bool,
    sums: Tensor,
    counts: Tensor,
    errors: Tensor,
) -> None:
    size = _core.kmeans.accumulate_workspace(*_where(points), len(points), len(sums))
    given = (points, labels, weights, distances, cosine)
    _core.kmeans.accumulate(*given, _scratch(points, size), sums, counts, errors, stream(points))
    torch.autograd.graph.increment_version((sums, counts, errors))


@accepts_numpy
def accumulate(
    points: Tensor,
    assignment: Assignment,
    statistics: Statistics,
    *,
    weights: Tensor | None = None,
    metric: Metric = "l2",
) -> None:
    """Adds rows to the statistics of their clusters, in place: sums_k += sum of w x, counts_k += sum of w,
    errors_k += sum of w d over the rows labelled k; under cosine x is the unit row.

    In float64 and in the order of the rows: on the CPU the bits depend neither on the threads nor on how the
    data was cut into chunks. To all-reduce, sum the three tensors over the ranks.

    Args:
        points: [B D] as for `assign`.
        assignment: labels int64 [B], below K; rows with a negative one are left out. distances float32 [B].
        statistics: float64, added to; start from `Statistics.zeros(K, D)`.
        weights: float32 [B], not negative; all 1 where absent.
        metric: that of the assignment.
    Raises:
        ValueError: a shape or (on the CPU) a value is out of range; TypeError: another dtype.
    Cost: O(B D) time, O(B) scratch on the CPU, O(B + K) on CUDA.
    """
    cosine = is_cosine("accumulate", metric)
    check_rank("accumulate", "points", points, 2)
    if weights is not None:
        weights = weights.detach()
        if weights.shape != points.shape[:1]:  # one of no rows would count as absent
            raise ValueError(
                f"accumulate: weights: expected [B] = [{len(points)}], got {list(weights.shape)}; pass one a row"
            )
    _accumulate(points.detach(), assignment.labels, weights, assignment.distances, cosine, *statistics)


@op("kmeans_update", lambda sums, counts, errors, centroids, cosine, split: torch.empty_like(centroids))
def _update(sums: Tensor, counts: Tensor, errors: Tensor, centroids: Tensor, cosine: bool, split: bool) -> Tensor:
    out = centroids.clone()
    _core.kmeans.update(sums, counts.clone(), errors.clone(), cosine, split, out, stream(sums))
    return out


@accepts_numpy
def update(statistics: Statistics, centroids: Tensor, *, metric: Metric = "l2", empty: Empty = "split") -> Tensor:
    """New centroids: sums_k / counts_k (Lloyd 1982), of unit length under cosine (Dhillon and Modha 2001).

    Statistics of one pass over all data give Lloyd's step. Statistics that keep growing over batches give
    mini-batch k-means with counts (Sculley 2010); multiplied by a decay before each batch, the exponential
    moving average of vector quantisation (van den Oord et al. 2017).

    Empty clusters, in ascending id: "keep" leaves the old centroid; "split" takes half of the cluster with the
    largest count whose rows differ, halving its count, so that two empty clusters can have two donors.
    The halves are set apart by the spread of the cluster's rows, and always by more than float32 rounds away.
    A cluster of one row, or of equal rows, never donates.

    Args:
        statistics: float64, [K D], [K] and [K]; counts and errors not negative, errors from `centroids`.
        centroids: float32 [K D], the present ones.
        metric, empty: as above.
    Returns:
        float32 [K D].
    Raises:
        ValueError: a shape does not fit, `metric` or `empty` is unknown, or (on the CPU) a count or an error is
            negative or not finite, or a mean is not; TypeError: another dtype.
    Cost: O(K D), and O(K) for each empty cluster.
    """
    cosine = is_cosine("update", metric)
    if empty not in ("split", "keep"):
        raise ValueError(f"update: empty: expected 'split' or 'keep', got {empty!r}; choose one of them")
    return _update(*statistics, centroids.detach(), cosine, empty == "split")
