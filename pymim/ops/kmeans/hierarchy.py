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
    """The rows of `chunks` that are nearest to one of the top centroids."""

    def __init__(self, chunks: Chunks, top: Tensor, cluster: int, metric: Any):
        self.chunks, self.top, self.cluster, self.metric = chunks, top, cluster, metric

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        for points, weights in self.chunks:
            inside = assign(points, self.top, metric=self.metric).labels == self.cluster
            yield points[inside], None if weights is None else weights[inside]


class HierarchicalKMeans(KMeans):
    """k1 x k2 clusters, as for labels of super-classes and classes (Caron et al. 2019, DeeperCluster) or for K too
    large for k-means at once: assigning a row costs k1 + k2 distances, not k1 k2.

    The top level is fitted first; then all lower levels together, so that a pass over the data serves them all.
    `predict` gives top label * k2 + label inside. A top cluster with no rows has copies of its centroid.

    Args:
        top, inside: k1 and k2. options: as for KMeans, of both levels, but for restarts and max_size. With a group
            both levels are those of one process that has all rows.
    """

    @speaks("HierarchicalKMeans")
    def __init__(self, top: int, inside: int, **options: Any):
        for name in ("restarts", "max_size"):
            if options.get(name) is not None:
                raise ValueError(f"HierarchicalKMeans: {name}: expected nothing, got {options[name]}; leave it out")
        super().__init__(top * inside, **options)
        self.inside = inside
        self.top = KMeans(top, **options)

    @speaks("HierarchicalKMeans")
    def fit(self, data: Data, weights: Any = None) -> HierarchicalKMeans:
        """Clusters `data` as KMeans.fit does. Cost: O(N (k1 + k2) D) a pass, and k1 + 1 passes to start."""
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
        others = elsewhere(own, self.group) if self.group is not None else (torch.zeros_like(own),) * 2
        before, after = (part.tolist() for part in others)
        parts = []
        for cluster, held in enumerate(own.tolist()):
            if not before[cluster] + held + after[cluster]:
                parts.append(top[cluster].expand(self.inside, -1))
                continue
            ranks = None if self.group is None else Ranks(self.group, before[cluster], after[cluster])
            rows = _Inside(chunks, top, cluster, self.metric)
            parts.append(start(rows, self.inside, self.start, self.metric, seed + cluster, ranks))  # type: ignore[arg-type]
        return self._agreed(torch.cat(parts))

    def _rows_of_each(self, chunks: Chunks) -> Tensor:
        """How many rows of this process each top cluster has."""
        top = self.top._fitted()
        counts = torch.zeros(len(top), dtype=torch.int64, device=top.device)
        for points, _ in chunks:
            counts += torch.bincount(assign(points, top, metric=self.metric).labels, minlength=len(top))
        return counts

    def _nearest(self, points: Tensor, centroids: Tensor) -> Assignment:
        """Two levels of `assign`."""
        labels, distances = assign(points, self.top._fitted(), metric=self.metric)
        for cluster, own in enumerate(centroids.split(self.inside)):
            rows = (labels == cluster).nonzero()[:, 0]
            found = assign(points[rows], own, metric=self.metric)
            distances[rows] = found.distances
            labels[rows] = -1 - (found.labels + cluster * self.inside)  # below zero, so that no id is met twice
        return Assignment(-1 - labels, distances)

    def _update(self, statistics: Statistics, centroids: Tensor) -> Tensor:
        """Each top cluster repairs its own: none takes half of another's."""
        parts = zip(*(part.split(self.inside) for part in (*statistics, centroids)), strict=True)
        return torch.cat(
            [update(Statistics(*own), old, metric=self.metric, empty=self.empty) for *own, old in parts]
        )
