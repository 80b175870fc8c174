"""Assign rows to clusters under a size cap."""

from __future__ import annotations

import operator

import torch
from torch import Tensor

from pymim.ops.arrays import accepts_numpy
from pymim.ops.kinds import tensor_fault
from pymim.ops.kmeans.steps import Assignment, Metric, check_rank, check_rows, is_cosine


def _pairwise(points: Tensor, centroids: Tensor, cosine: bool) -> Tensor:
    if cosine:
        unit = torch.nn.functional.normalize
        return 1 - unit(points) @ unit(centroids).T
    return torch.cdist(points, centroids, compute_mode="donot_use_mm_for_euclid_dist").square()


def _rank_in_cluster(labels: Tensor, distances: Tensor, clusters: int) -> Tensor:
    """Count the rows of the same cluster that are nearer, or equally near with a lower id."""
    order = distances.sort(stable=True).indices
    order = order[labels[order].sort(stable=True).indices]
    starts = torch.bincount(labels, minlength=clusters).cumsum(0).roll(1)
    starts[0] = 0
    ranks = torch.empty_like(labels)
    ranks[order] = torch.arange(len(labels), device=labels.device) - starts[labels[order]]
    return ranks


@accepts_numpy
def assign_balanced(
    points: Tensor, centroids: Tensor, max_size: int, *, metric: Metric = "l2"
) -> Assignment:
    """Assign every row, at most `max_size` to a cluster.

    This is the stable matching (Gale and Shapley 1962). Rows ask for their nearest cluster; a
    cluster asked by too many keeps the nearest rows, and the others ask for their next. In the
    result, no row is nearer to another cluster that has room, or that holds a farther row.

    Args:
        points: [B D]; centroids: float32 [K D]; metric as for `assign`.
        max_size: rows a cluster may hold, max_size K >= B.
    Returns:
        Assignment.
    Raises:
        ValueError: a shape does not fit, the clusters have no room for all rows, or a distance
            overflows.
        TypeError: another dtype.
    Cost: O(B K) memory for the distances, O(B K D) time and a few passes over unplaced rows.
    Example:
        >>> points, centroids = torch.tensor([[0.0], [1.0], [9.0]]), torch.tensor([[0.0], [2.0]])
        >>> assign_balanced(points, centroids, max_size=2).labels
        tensor([0, 0, 1])
    """
    cosine, clusters = is_cosine("assign_balanced", metric), len(centroids)
    check_rank("assign_balanced", "points", points, 2)
    check_rank("assign_balanced", "centroids", centroids, 2)
    if points.is_complex():
        raise TypeError(f"assign_balanced: points: {tensor_fault(points)}")
    if centroids.dtype != torch.float32:
        got = str(centroids.dtype).removeprefix("torch.")
        raise TypeError(
            f"assign_balanced: centroids: expected dtype float32, got {got}; convert it first"
        )
    if points.shape[1] != centroids.shape[1]:
        raise ValueError(
            f"assign_balanced: centroids: expected [K D] of D = {points.shape[1]}, "
            f"got {list(centroids.shape)}; pass an array of that shape"
        )
    max_size = min(operator.index(max_size), len(points))  # so that an int64 holds it
    if max_size * clusters < len(points):
        raise ValueError(
            f"assign_balanced: max_size: expected room for {len(points)} rows, "
            f"got {max_size} in each of {clusters} clusters; raise it"
        )
    cost = _pairwise(points.detach().float(), centroids.detach(), cosine)
    if not bool(cost.isfinite().all()):
        check_rows("assign_balanced", "centroids", centroids)
        check_rows("assign_balanced", "points", points)
        raise ValueError(
            "assign_balanced: points: expected finite distances, got an overflow; rescale them"
        )
    # A full cluster takes only rows nearer than its farthest.
    limit = cost.new_full((clusters,), torch.inf)
    labels = torch.zeros(len(points), dtype=torch.int64, device=points.device)
    waiting = torch.arange(len(points), device=points.device)
    while len(waiting):
        offers = cost[waiting]
        labels[waiting] = offers.masked_fill(offers >= limit, torch.inf).argmin(1)
        distances = cost.gather(1, labels[:, None])[:, 0]
        ranks = _rank_in_cluster(labels, distances, clusters)
        last = ranks == max_size - 1
        limit[labels[last]] = distances[last]
        waiting = (ranks >= max_size).nonzero()[:, 0]
    return Assignment(labels, cost.gather(1, labels[:, None])[:, 0])
