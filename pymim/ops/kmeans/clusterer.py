"""KMeans: the steps in a loop, over data of any size, in one process or many."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from pymim.ops.door import speaks
from pymim.ops.kinds import tensor_fault
from pymim.ops.kmeans.balance import assign_balanced
from pymim.ops.kmeans.chunks import Chunks, Data
from pymim.ops.kmeans.ranks import Ranks, elsewhere
from pymim.ops.kmeans.starts import Start, start
from pymim.ops.kmeans.steps import (
    Assignment,
    Empty,
    Metric,
    Statistics,
    accumulate,
    assign,
    is_cosine,
    update,
)
from pymim.ops.memory import check_memory


def _check_numbers(
    clusters: int, iterations: int, restarts: int, rows: int, seed: int, max_size: int | None
) -> None:
    for name, value, least, most in (
        ("clusters", clusters, 1, 2**31 - 1),
        ("iterations", iterations, 0, 10**6),
        ("restarts", restarts, 1, 10**4),
        ("rows", rows, 1, 2**62),
        ("seed", seed, -(2**63), 2**63 - 1 - restarts),
        ("max_size", 1 if max_size is None else max_size, 1, 2**62),
    ):
        if operator.index(value) < least:
            raise ValueError(f"KMeans: {name}: expected at least {least}, got {value}; raise it")
        if value > most:
            raise ValueError(f"KMeans: {name}: expected at most {most}, got {value}; lower it")


class KMeans:
    """Cluster by k-means (Lloyd 1982), in full passes, or online in batches.

    Minimises the objective sum_i w_i d(x_i, c_nearest(i)). It never rises from one pass to the
    next, except after a cluster was split to fill an empty one, or under a size cap.

    Args:
        clusters: K.
        metric: "l2", d = |x - c|^2, or "cosine", d = 1 - cos(x, c), with centroids of unit length.
        start: "k-means++", "k-means||", "random" (see `starts.start`), or float32 centroids [K D].
        iterations: most updates; fewer once nothing changes.
        tolerance: also stop when the objective falls by at most this share of itself.
        restarts: runs from the seeds seed, seed + 1, ...; the lowest objective wins.
        empty: "split" or "keep", see `update`.
        max_size: rows a cluster may hold; the data must then be one array in one process.
        decay: factor of the statistics at each `partial_fit`: 1 is mini-batch k-means with counts
            (Sculley 2010), less is an exponential moving average.
        seed: makes everything repeatable, for any number of threads.
        rows: rows of a memory map in memory at a time. Memory also holds a workspace of O(K D),
            statistics of 8 K (D + 2) bytes, and what the start needs.
        device: where chunks are moved to; None: they stay where they are.
        group: processes whose data is clustered together, each holding some rows. The clusters are
            those of one process with all rows in rank order, except for rounding of sums.
        between: called before every pass of `fit`, in every process; an exception from it ends the
            fit.

    Attributes:
        centroids: float32 [K D].
        counts: float64 [K], weight of each cluster in the last pass; 0 if empty.
        objective: objective of `centroids` on the data.
        history: objective of every pass of the winning run.
    """

    @speaks("KMeans")
    def __init__(
        self,
        clusters: int,
        *,
        metric: Metric = "l2",
        start: Start | Tensor | np.ndarray[Any, Any] = "k-means++",
        iterations: int = 25,
        tolerance: float = 0.0,
        restarts: int = 1,
        empty: Empty = "split",
        max_size: int | None = None,
        decay: float = 1.0,
        seed: int = 0,
        rows: int = 65536,
        device: torch.device | str | None = None,
        group: dist.ProcessGroup | None = None,
        between: Callable[[], None] | None = None,
    ):
        is_cosine("KMeans", metric)
        _check_numbers(clusters, iterations, restarts, rows, seed, max_size)
        if empty not in ("split", "keep"):
            raise ValueError(
                f"KMeans: empty: expected 'split' or 'keep', got {empty!r}; choose one of them"
            )
        if not tolerance >= 0:
            raise ValueError(
                f"KMeans: tolerance: expected 0 or more, got {tolerance}; 0 never stops early"
            )
        given = np.asarray(start) if isinstance(start, list) else start
        if not isinstance(start, str) and (fault := tensor_fault(given)):
            raise TypeError(f"KMeans: start: {fault}")
        if isinstance(start, str) and start not in ("k-means++", "k-means||", "random"):
            raise ValueError(
                "KMeans: start: expected 'k-means++', 'k-means||', 'random' or centroids, "
                f"got {start!r}; choose one of them"
            )
        if not 0 <= decay <= 1:
            raise ValueError(f"KMeans: decay: expected 0 to 1, got {decay}; 1 keeps everything")
        if max_size is not None and group is not None:
            raise ValueError(
                "KMeans: max_size: expected None with a group, got a number; drop one of them"
            )
        self.clusters, self.metric = clusters, metric
        self.start, self.iterations = start, iterations
        self.tolerance, self.restarts = tolerance, restarts
        self.empty, self.max_size = empty, max_size
        self.decay, self.seed = decay, seed
        self.rows, self.device = rows, device
        self.group = group
        self.between = between or (lambda: None)
        self.centroids: Tensor | None = None
        self.totals: Statistics | None = None  # statistics of partial_fit
        self.counts: Tensor | None = None
        self.objective = float("inf")
        self.history: list[float] = []

    @speaks("KMeans")
    def fit(self, data: Data, weights: Any = None) -> KMeans:
        """Cluster `data`: a tensor, an array, a np.memmap, or an iterable of chunks (see `Chunks`).

        Cost: O(N K D) a pass; iterations + 1 passes, and those of the start.
        """
        chunks = Chunks(data, weights, self.rows, self.device)
        if self.max_size is not None and not chunks.whole:
            raise ValueError(
                "KMeans: data: expected one array under max_size, got chunks; "
                "load it, or drop max_size"
            )
        self.objective = float("inf")
        with chunks.rows_named():
            for restart in range(self.restarts):
                self._run(chunks, self._start(chunks, self.seed + restart))
        return self

    @speaks("KMeans")
    def partial_fit(self, points: Any, weights: Any = None) -> KMeans:
        """Learn from one batch: totals = decay totals + statistics of the batch; centroids = their
        means.

        The first batch gives the start, unless centroids were given.
        """
        chunks = Chunks(points, weights, self.rows, self.device)
        with chunks.rows_named():
            if self.centroids is None:
                self.centroids = self._start(chunks, self.seed)
            batch = self._pass(chunks, self.centroids)
        totals = batch if self.totals is None else self.totals
        if totals is not batch:
            for total, new in zip(totals, batch, strict=True):
                total.mul_(self.decay).add_(new)
        self.totals = totals
        self.centroids = self._update(totals, self.centroids)
        self._report(batch)
        return self

    @speaks("KMeans")
    def predict(self, data: Data) -> Tensor:
        """Give labels int64 [N] of the nearest centroids, on the device of each chunk."""
        centroids = self._fitted()
        chunks = Chunks(data, None, self.rows, self.device)
        with chunks.rows_named():
            found = [self._nearest(points, centroids).labels for points, _ in chunks]
        return (
            torch.cat(found)
            if found
            else torch.empty(0, dtype=torch.int64, device=centroids.device)
        )

    def state_dict(self) -> dict[str, Tensor]:
        """Give the fitted state as tensors."""
        state = {
            "centroids": self._fitted(),
            "history": torch.tensor(self.history, dtype=torch.float64),
        }
        if self.counts is not None:
            state["cluster_counts"] = self.counts
        return state | ({} if self.totals is None else self.totals._asdict())

    @speaks("KMeans")
    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore the state that `state_dict` gave."""
        if state["centroids"].shape[0] != self.clusters:
            raise ValueError(
                f"KMeans: state: expected {self.clusters} centroids, "
                f"got {len(state['centroids'])}; make KMeans with as many clusters"
            )
        self.centroids = state["centroids"].clone()
        self.history = state["history"].tolist()
        self.objective = self.history[-1] if self.history else float("inf")
        self.counts = state.get("cluster_counts")
        if "sums" in state:
            self.totals = Statistics(*(state[name].clone() for name in Statistics._fields))

    def _fitted(self) -> Tensor:
        if self.centroids is None:
            raise ValueError(
                "KMeans: centroids: expected a fitted object, got a new one; call fit first"
            )
        return self.centroids

    def _start(self, chunks: Chunks, seed: int) -> Tensor:
        points = next(iter(chunks), (None, None))[0]
        if points is None:
            raise ValueError("KMeans: data: expected at least one row, got none; pass data")
        if not points.is_cuda:  # memory for centroids, new centroids, sums and their terms
            check_memory("KMeans", "clusters", self.clusters, 24 * (points.shape[1] + 1))
        if not isinstance(self.start, str):
            return self._given(torch.as_tensor(self.start, device=points.device), points.shape[1])
        ranks = None
        if self.group is not None:
            rows = torch.tensor(sum(len(part) for part, _ in chunks), device=points.device)
            ranks = Ranks(self.group, *map(int, elsewhere(rows, self.group)))
        return self._agreed(start(chunks, self.clusters, self.start, self.metric, seed, ranks))

    def _agreed(self, centroids: Tensor) -> Tensor:
        """Give the first process's centroids: other processors may round differently."""
        if self.group is not None:
            centroids = centroids.contiguous()
            dist.broadcast(centroids, dist.get_global_rank(self.group, 0), group=self.group)
        return centroids

    def _given(self, centroids: Tensor, width: int) -> Tensor:
        if centroids.shape != (self.clusters, width):
            raise ValueError(
                f"KMeans: start: expected [K D] = [{self.clusters} {width}], "
                f"got [{' '.join(map(str, centroids.shape))}]; pass one row per cluster"
            )
        return centroids.detach().clone()

    def _run(self, chunks: Chunks, centroids: Tensor) -> None:
        """Run Lloyd's algorithm, and keep the result if it is the best so far."""
        history: list[float] = []
        for left in range(self.iterations, -1, -1):
            self.between()
            statistics = self._pass(chunks, centroids)
            history.append(float(statistics.errors.sum()))
            if not left or self._settled(history, statistics):
                break
            new = self._update(statistics, centroids)
            if torch.equal(new, centroids):
                break
            centroids = new
        if history[-1] < self.objective:
            self.centroids, self.history = centroids, history
            self._report(statistics)

    def _settled(self, history: list[float], statistics: Statistics) -> bool:
        if not self.tolerance or len(history) < 2 or not bool((statistics.counts > 0).all()):
            return False
        return history[-2] - history[-1] <= self.tolerance * history[-2]

    def _pass(self, chunks: Chunks, centroids: Tensor) -> Statistics:
        """Give the statistics of all data in all processes."""
        statistics = Statistics.zeros(self.clusters, centroids.shape[1], centroids.device)
        for points, weights in chunks:
            found = self._assign(points, centroids)
            accumulate(points, found, statistics, weights=weights, metric=self.metric)
        if self.group is not None:
            for part in statistics:
                dist.all_reduce(part, group=self.group)
        return statistics

    def _nearest(self, points: Tensor, centroids: Tensor) -> Assignment:
        return assign(points, centroids, metric=self.metric)

    def _assign(self, points: Tensor, centroids: Tensor) -> Assignment:
        if self.max_size is None:
            return self._nearest(points, centroids)
        return assign_balanced(points, centroids, self.max_size, metric=self.metric)

    def _update(self, statistics: Statistics, centroids: Tensor) -> Tensor:
        return update(statistics, centroids, metric=self.metric, empty=self.empty)

    def _report(self, statistics: Statistics) -> None:
        self.counts, self.objective = statistics.counts, float(statistics.errors.sum())
