"""Starting centroids of k-means: random rows, k-means++ and k-means||. Each depends on its seed
alone.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Literal

import torch
import torch.distributed as dist
from torch import Tensor

from pymim.ops.arrays import accepts_numpy
from pymim.ops.kinds import tensor_fault
from pymim.ops.kmeans.ranks import Drawn, Ranks, gather, skip
from pymim.ops.kmeans.steps import (
    Metric,
    Statistics,
    accumulate,
    assign,
    check_rank,
    check_rows,
    check_weights,
)
from pymim.ops.memory import check_memory

Start = Literal["k-means++", "k-means||", "random"]
Pairs = Iterable[tuple[Tensor, Tensor | None]]
Score = Callable[[Tensor, Tensor], Tensor]  # (points, weights) -> odds of each row [b]

SAMPLE = 65536  # rows that k-means++ samples, or 8 per cluster if that is more
ROUNDS = 5  # rounds of k-means||; each draws two rows per cluster


def generator(seed: int) -> torch.Generator:
    """Make a generator on the CPU, so that all devices draw the same numbers."""
    return torch.Generator().manual_seed(int(operator.index(seed)))


def draw(
    chunks: Pairs, count: int, score: Score, random: torch.Generator, ranks: Ranks | None = None
) -> tuple[Tensor, Tensor]:
    """Draw up to `count` rows without replacement in proportion to their score, in one pass.

    Each row gets the key E / score with E exponential; the smallest keys win (Efraimidis and
    Spirakis 2006). Given ranks, rows are those of all processes.

    Returns:
        The rows as float32 [up to count, D], in order of their keys, and their weights. Rows of
            score 0 are never drawn. Memory: `count` rows and a chunk.
    """
    best: Drawn | None = None
    skip(random, ranks.before if ranks else 0)
    for points, given in chunks:
        weights = torch.ones(len(points), device=points.device) if given is None else given
        uniform = torch.rand(len(points), dtype=torch.float64, generator=random).to(points.device)
        new = -torch.log1p(-uniform) / score(points, weights).double()
        best = _smallest((new, points.float(), weights), best, count)
    skip(random, ranks.after if ranks else 0)
    if ranks is not None and best is not None:
        best = _smallest(gather(best, ranks.group), None, count)
    if best is None or not len(best[0]):
        raise ValueError(
            "KMeans: data: expected at least one row with a positive weight, got none; "
            "pass data or weights"
        )
    return best[1:]


def _smallest(parts: Drawn, before: Drawn | None, count: int) -> Drawn:
    """Give the rows with the `count` smallest keys of both, in order of their keys."""
    merged = (
        parts
        if before is None
        else tuple(torch.cat(pair) for pair in zip(before, parts, strict=True))
    )
    best = merged[0].sort(stable=True).indices[:count]
    best = best[merged[0][best].isfinite()]
    return tuple(part[best] for part in merged)  # type: ignore[return-value]


def _pick(mass: Tensor, random: torch.Generator) -> Tensor:
    """Draw one id in proportion to `mass` [B]."""
    ends = mass.cumsum(0)
    target = torch.rand((), dtype=torch.float64, generator=random).to(mass.device) * ends[-1]
    return torch.searchsorted(ends, target, right=True).clamp(max=int(mass.nonzero()[-1]))


@accepts_numpy
def plus_plus(
    points: Tensor,
    clusters: int,
    *,
    weights: Tensor | None = None,
    metric: Metric = "l2",
    seed: int = 0,
) -> Tensor:
    """Choose rows by k-means++: each next one in proportion to w d(x, nearest chosen row).

    (Arthur and Vassilvitskii 2007.)

    Args:
        points: [B D], float32, bfloat16 or float16, B > 0.
        clusters: K. With fewer than K distinct rows, the rest repeat chosen ones.
        weights: float32 [B]; None: 1.
        metric: "l2" or "cosine".
        seed: seed of the draws.
    Returns:
        int64 [K], ids of the chosen rows.
    Raises:
        ValueError: K < 1, no rows, a shape does not fit, or no weight is above zero.
        TypeError: another dtype.
    Cost: O(B K D) time in K passes over the points.
    """
    check_rank("plus_plus", "points", points, 2)
    check_memory("plus_plus", "clusters", clusters, 16)
    if not len(points) or clusters < 1:
        raise ValueError(
            f"plus_plus: clusters: expected at least one, of at least one row, "
            f"got {clusters} of {len(points)}; pass more"
        )
    random = generator(seed)
    ones = torch.ones(len(points), dtype=torch.float64, device=points.device)
    mass = ones if weights is None else weights.double()
    if weights is not None and weights.is_complex():
        raise TypeError(f"plus_plus: weights: {tensor_fault(weights)}")
    if mass.shape != ones.shape:
        raise ValueError(
            f"plus_plus: weights: expected [B] = [{len(ones)}], got {list(mass.shape)}; "
            "pass one weight per row"
        )
    check_weights("plus_plus", mass)
    if not bool((mass > 0).any()):
        raise ValueError(
            "plus_plus: weights: expected at least one above zero, got none; pass other weights"
        )
    chosen = [_pick(mass, random)]
    closest = torch.full_like(mass, torch.inf)
    for _ in range(clusters - 1):
        centre = points[chosen[-1]][None].float()
        try:
            closest = torch.minimum(
                closest, assign(points, centre, metric=metric).distances.double()
            )
        except ValueError:
            # The error may be about the centre: name the row of the data instead.
            check_rows("plus_plus", "points", points)
            raise
        left = closest * mass
        if not bool((left > 0).any()):
            return torch.cat([torch.stack(chosen), chosen[-1].expand(clusters - len(chosen))])
        chosen.append(_pick(left, random))
    return torch.stack(chosen)


def _given(points: Tensor, weights: Tensor) -> Tensor:
    return weights


def _candidates(
    chunks: Pairs, clusters: int, metric: Metric, random: torch.Generator, ranks: Ranks | None
) -> tuple[Tensor, Tensor]:
    """Give the rows that k-means|| oversamples, and the weight of the data nearest to each."""
    rows, _ = draw(chunks, 1, _given, random, ranks)
    for _ in range(ROUNDS):
        present = rows

        def distance(points: Tensor, weights: Tensor, present: Tensor = present) -> Tensor:
            return weights * assign(points, present, metric=metric).distances

        try:
            rows = torch.cat([rows, draw(chunks, 2 * clusters, distance, random, ranks)[0]])
        except ValueError:  # every row is a candidate already
            break
    statistics = Statistics.zeros(len(rows), rows.shape[1], rows.device)
    for points, weights in chunks:
        accumulate(
            points, assign(points, rows, metric=metric), statistics, weights=weights, metric=metric
        )
    if ranks is not None:
        dist.all_reduce(statistics.counts, group=ranks.group)
    return rows, statistics.counts.float()


def start(
    chunks: Pairs,
    clusters: int,
    method: Start,
    metric: Metric,
    seed: int,
    ranks: Ranks | None = None,
) -> Tensor:
    """Give start centroids, float32 [K D]; given ranks, out of the rows of all processes.

    - "random": K rows without replacement, in proportion to their weight; one pass.
    - "k-means++": on a uniform sample of 65536 rows, or 8 K if that is more; one pass.
    - "k-means||" (Bahmani et al. 2012): five rounds that draw 2 K rows each in proportion to w d,
      here without replacement; k-means++ then chooses among them by the weight of the data nearest
      to each. Seven passes.

    With fewer distinct rows than clusters, rows repeat, and the repeated clusters stay empty.
    """
    random = generator(seed)
    if method == "random":
        rows, _ = draw(chunks, clusters, _given, random, ranks)
        return rows[torch.arange(clusters, device=rows.device) % len(rows)]
    if method == "k-means||":
        rows, weights = _candidates(chunks, clusters, metric, random, ranks)
    else:
        rows, weights = draw(
            chunks, max(SAMPLE, 8 * clusters), lambda _, w: (w > 0).float(), random, ranks
        )
    return rows[plus_plus(rows, clusters, weights=weights, metric=metric, seed=seed)]
