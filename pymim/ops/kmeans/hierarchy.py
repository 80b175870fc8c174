"""Two levels of clusters: k-means inside each cluster of a first k-means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from pymim.ops.door import speaks
from pymim.ops.kmeans.chunks import Chunks, Data
from pymim.ops.kmeans.clusterer import KMeans
from pymim.ops.kmeans.ranks import Ranks, elsewhere
from pymim.ops.kmeans.starts import start
from pymim.ops.kmeans.steps import Assignment, Statistics, assign, update


class _Inside:
    """Iterate over the rows of `chunks` that are nearest to one of the top centroids."""

    def __init__(self, chunks: Chunks, top: Tensor, cluster: int, metric: Any):
        self.chunks, self.top = chunks, top
        self.cluster, self.metric = cluster, metric

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        for points, weights in self.chunks:
            inside = assign(points, self.top, metric=self.metric).labels == self.cluster
            yield points[inside], None if weights is None else weights[inside]


class HierarchicalKMeans(KMeans):
    """Cluster into k1 x k2 clusters: super-classes and classes (DeeperCluster, Caron et al. 2019),
    or a very large K.

    Assigning a row costs k1 + k2 distances, not k1 k2. The top level is fitted first, then all
    lower levels together, so one pass over the data serves them all. `predict` gives top label * k2
    + label inside. A top cluster without rows has copies of its centroid.

    Args:
        top: k1.
        inside: k2.
        options: as for KMeans, for both levels, except restarts and max_size. With a group, both
            levels are those of one process with all rows.
    """

    @speaks("HierarchicalKMeans")
    def __init__(self, top: int, inside: int, **options: Any):
        for name in ("restarts", "max_size"):
            if options.get(name) is not None:
                raise ValueError(
                    f"HierarchicalKMeans: {name}: expected nothing, got {options[name]}; "
                    "leave it out"
                )
        super().__init__(top * inside, **options)
        self.inside = inside
        self.top = KMeans(top, **options)

    @speaks("HierarchicalKMeans")
    def fit(self, data: Data, weights: Any = None) -> HierarchicalKMeans:
        """Cluster `data` as KMeans.fit does. Cost: O(N (k1 + k2) D) a pass, and k1 + 1 passes to
        start.
        """
        self.top.fit(data, weights)
        super().fit(data, weights)
        return self

    def state_dict(self) -> dict[str, Tensor]:
        return super().state_dict() | {"top": self.top._fitted()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        super().load_state_dict(state)
        self.top.centroids = state["top"].clone()

    def _start(self, chunks: Chunks, seed: int) -> Tensor:
        top, own = self.top._fitted(), self._rows_of_each(chunks)
        others = (
            elsewhere(own, self.group) if self.group is not None else (torch.zeros_like(own),) * 2
        )
        before, after = (part.tolist() for part in others)
        parts = []
        for cluster, held in enumerate(own.tolist()):
            if not before[cluster] + held + after[cluster]:
                parts.append(top[cluster].expand(self.inside, -1))
                continue
            ranks = (
                None if self.group is None else Ranks(self.group, before[cluster], after[cluster])
            )
            rows = _Inside(chunks, top, cluster, self.metric)
            parts.append(start(rows, self.inside, self.start, self.metric, seed + cluster, ranks))  # type: ignore[arg-type]
        return self._agreed(torch.cat(parts))

    def _rows_of_each(self, chunks: Chunks) -> Tensor:
        """Count this process's rows of each top cluster."""
        top = self.top._fitted()
        counts = torch.zeros(len(top), dtype=torch.int64, device=top.device)
        for points, _ in chunks:
            counts += torch.bincount(
                assign(points, top, metric=self.metric).labels, minlength=len(top)
            )
        return counts

    def _nearest(self, points: Tensor, centroids: Tensor) -> Assignment:
        """Assign rows to a top cluster, then to a cluster inside it."""
        labels, distances = assign(points, self.top._fitted(), metric=self.metric)
        for cluster, own in enumerate(centroids.split(self.inside)):
            rows = (labels == cluster).nonzero()[:, 0]
            found = assign(points[rows], own, metric=self.metric)
            distances[rows] = found.distances
            # `labels` still holds top labels of other rows. A final label is stored as -1 - label,
            # below zero, so that a later cluster of the loop does not take it for a top label.
            labels[rows] = -1 - (found.labels + cluster * self.inside)
        return Assignment(-1 - labels, distances)

    def _update(self, statistics: Statistics, centroids: Tensor) -> Tensor:
        """Update each top cluster's own centroids, so that none splits a cluster of another."""
        parts = zip(*(part.split(self.inside) for part in (*statistics, centroids)), strict=True)
        return torch.cat(
            [
                update(Statistics(*own), old, metric=self.metric, empty=self.empty)
                for *own, old in parts
            ]
        )
