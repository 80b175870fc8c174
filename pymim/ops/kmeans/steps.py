"""The steps of Lloyd's algorithm: assign, accumulate, (all-reduce the statistics,) update."""

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
    """Sums of one pass over the data, in float64; `errors.sum()` is the objective."""

    sums: Tensor  # [K D] weighted sums of the rows
    counts: Tensor  # [K] total weight
    errors: Tensor  # [K] weighted sums of distances

    @classmethod
    def zeros(
        cls, clusters: int, width: int, device: torch.device | str | None = None
    ) -> Statistics:
        """Give the statistics of no rows."""
        shapes = ((clusters, width), (clusters,), (clusters,))
        return cls(*(torch.zeros(shape, dtype=torch.float64, device=device) for shape in shapes))


def is_cosine(function: str, metric: str) -> bool:
    """Tell whether `metric` is the cosine.

    Raises:
        ValueError: the metric is unknown.
    """
    if metric not in ("l2", "cosine"):
        raise ValueError(
            f"{function}: metric: expected 'l2' or 'cosine', got {metric!r}; choose one of them"
        )
    return metric == "cosine"


def _where(tensor: Tensor) -> tuple[bool, int]:
    return tensor.is_cuda, tensor.device.index or 0


def _scratch(like: Tensor, size: int) -> Tensor:
    return like.new_empty(size, dtype=torch.uint8)


def check_rank(function: str, name: str, tensor: Tensor, rank: int) -> None:
    if not isinstance(tensor, Tensor):
        got = type(tensor).__name__
        raise TypeError(
            f"{function}: {name}: expected a tensor or array, got {got}; convert it first"
        )
    if tensor.dim() != rank:
        raise ValueError(
            f"{function}: {name}: expected {rank} axes, got {tensor.dim()}; reshape it"
        )


def check_rows(function: str, name: str, points: Tensor, first: int = 0) -> None:
    """Refuse rows whose distances overflow or are not finite; count rows from `first`."""
    bad = (~points.float().square().sum(1).isfinite()).nonzero()
    if len(bad):
        raise ValueError(
            f"{function}: {name}: expected rows whose squares sum to a finite float, "
            f"got row {first + int(bad[0])} with NaN, infinity or an overflow; remove or rescale it"
        )


def check_weights(function: str, weights: Tensor, first: int = 0) -> None:
    """Refuse weights that are negative or not finite; count rows from `first`."""
    bad = (~((weights >= 0) & weights.isfinite())).nonzero()
    if len(bad):
        row = int(bad[0])
        raise ValueError(
            f"{function}: weights: expected finite and not negative, "
            f"got {float(weights[row])} at row {first + row}; drop such rows instead"
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
    """Find the nearest centroid of each row: argmin_k d(x, c_k); ties go to the lower id.

    d is |x - c|^2 for "l2" and 1 - x.c / (|x| |c|) for "cosine", where a zero row or centroid has
    distance 1 to everything. The result is exact: d is computed in float32 without expanding the
    square, so it is right for rows far from the origin and for rows equal to a centroid. An
    approximate product with a proven error bound only selects the candidates.

    Args:
        points: [B D], float32, bfloat16 or float16, contiguous.
        centroids: float32 [K D], K > 0, on the device of `points`.
        metric: "l2" or "cosine".
    Returns:
        Assignment. On CUDA a row that is not finite has label -1 and distance NaN.
    Raises:
        ValueError: a shape does not fit, or (on the CPU) a row is not finite.
        TypeError: another dtype.
    Cost: O(B K D) time; O(K D) scratch on the CPU, O((B + K) D) on CUDA. Nothing of size B K is
        stored.
    Example:
        >>> points, centroids = torch.tensor([[0.0, 1.0]]), torch.tensor([[4.0, 4.0], [0.0, 0.0]])
        >>> assign(points, centroids)
        Assignment(labels=tensor([1]), distances=tensor([1.]))
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
    """Add rows to the statistics of their clusters, in place.

    sums_k += sum of w x, counts_k += sum of w, errors_k += sum of w d over the rows labelled k;
    under cosine x is the unit row. Sums are float64 and in the order of the rows: on the CPU the
    bits depend neither on threads nor on chunks. To all-reduce, sum the three tensors over the
    ranks.

    Args:
        points: [B D] as for `assign`.
        assignment: labels int64 [B], below K, and distances float32 [B]. Rows with a negative label
            are left out.
        statistics: float64, added to; start from `Statistics.zeros(K, D)`.
        weights: float32 [B], not negative; None: 1.
        metric: that of the assignment.
    Raises:
        ValueError: a shape or (on the CPU) a value is out of range; TypeError: another dtype.
    Cost: O(B D) time, O(B) scratch on the CPU, O(B + K) on CUDA.
    """
    cosine = is_cosine("accumulate", metric)
    check_rank("accumulate", "points", points, 2)
    if weights is not None:
        weights = weights.detach()
        if weights.shape != points.shape[:1]:  # the core takes empty weights for none
            raise ValueError(
                f"accumulate: weights: expected [B] = [{len(points)}], got {list(weights.shape)}; "
                "pass one weight per row"
            )
    _accumulate(
        points.detach(), assignment.labels, weights, assignment.distances, cosine, *statistics
    )


@op(
    "kmeans_update",
    lambda sums, counts, errors, centroids, cosine, split: torch.empty_like(centroids),
)
def _update(
    sums: Tensor, counts: Tensor, errors: Tensor, centroids: Tensor, cosine: bool, split: bool
) -> Tensor:
    out = centroids.clone()
    _core.kmeans.update(sums, counts.clone(), errors.clone(), cosine, split, out, stream(sums))
    return out


@accepts_numpy
def update(
    statistics: Statistics, centroids: Tensor, *, metric: Metric = "l2", empty: Empty = "split"
) -> Tensor:
    """Give new centroids, sums_k / counts_k (Lloyd 1982), of unit length under cosine.

    (Cosine: Dhillon and Modha 2001.) Statistics of one pass over all data give Lloyd's step.
    Statistics that keep growing over batches give mini-batch k-means with counts (Sculley 2010);
    multiplied by a decay before each batch, they give the exponential moving average of vector
    quantisation (van den Oord et al. 2017).

    Empty clusters are handled in ascending id. "keep" leaves the old centroid. "split" takes half
    of the cluster with the largest count whose rows differ, and halves its count, so that two empty
    clusters can have two donors. The halves are moved apart by the spread of the cluster's rows,
    always by more than float32 rounding. A cluster of one row, or of equal rows, never donates.

    Args:
        statistics: float64, [K D], [K] and [K]; counts and errors not negative, errors from
            `centroids`.
        centroids: float32 [K D], the old ones.
        metric: "l2" or "cosine".
        empty: "split" or "keep".
    Returns:
        float32 [K D].
    Raises:
        ValueError: a shape does not fit, `metric` or `empty` is unknown, or (on the CPU) a count or
            an error is negative or not finite, or a mean is not.
        TypeError: another dtype.
    Cost: O(K D), and O(K) for each empty cluster.
    """
    cosine = is_cosine("update", metric)
    if empty not in ("split", "keep"):
        raise ValueError(
            f"update: empty: expected 'split' or 'keep', got {empty!r}; choose one of them"
        )
    return _update(*statistics, centroids.detach(), cosine, empty == "split")
