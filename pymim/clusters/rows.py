"""A table whose rows several processes hold, and k-means over all of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from pymim.ops import kmeans

if TYPE_CHECKING:
    from jaxtyping import Float, Int

CHUNK = 65536  # rows on the device at a time


class Rows(NamedTuple):
    """Some rows of a table [N D]; the other processes of `group` hold the others."""

    values: Float[Tensor, "n D"]
    ids: Int[Tensor, " n"]  # numbers of these rows in the table, ascending
    total: int  # N
    group: dist.ProcessGroup | None = None

    def pick(self, wanted: Int[Tensor, " K"]) -> Float[Tensor, "K D"]:
        """Give the rows `wanted` in every process, whichever process holds them; float32."""
        place = torch.searchsorted(self.ids, wanted).clamp_max(max(0, len(self.ids) - 1))
        picked = torch.zeros(len(wanted), self.values.shape[1], device=self.values.device)
        if len(self.ids):
            mine = self.ids[place] == wanted
            picked[mine] = self.values[place[mine]].float()
        return self._summed(picked)

    def whole(self, column: Tensor) -> Tensor:
        """Turn one number per local row [n] into one per row of the table [N], in every process."""
        everything = column.new_zeros(self.total)
        everything[self.ids.to(column.device)] = column
        return self._summed(everything)

    def chunks(self) -> tuple[Tensor, ...]:
        chunks: tuple[Tensor, ...] = self.values.split(CHUNK)
        return chunks

    def _summed(self, values: Tensor) -> Tensor:
        if self.group is not None:
            dist.all_reduce(values, group=self.group)
        return values


class Clustering(NamedTuple):
    """The nearest centroid of every row of a table, in every process."""

    centroids: Float[Tensor, "K D"]
    labels: Int[Tensor, " N"]
    distances: Float[Tensor, " N"]
    objective: float  # sum of distances


def cluster(
    rows: Rows,
    clusters: int,
    *,
    metric: Literal["l2", "cosine"],
    empty: Literal["split", "keep"],
    iterations: int,
    seed: int,
    device: torch.device,
    between: Callable[[], None] | None = None,
) -> Clustering:
    """Run k-means over the rows of all processes, from random rows, then assign every row.

    Starting rows are drawn by their number in the table, and sums are float64. So the result does
    not depend on which process holds which row. (Unlike the released code of DeepCluster-v2, which
    draws from the first process's rows.)

    Args:
        rows: this process's rows.
        clusters: number K of clusters.
        metric: "l2" or "cosine".
        empty: what an empty cluster becomes: "split" half of another, or "keep" its centroid.
        iterations: most updates.
        seed: seed of the starting rows.
        device: where distances are computed.
        between: called between passes, in every process; an exception from it ends the clustering.
    """
    drawn = torch.randperm(rows.total, generator=torch.Generator().manual_seed(seed))
    start = rows.pick(drawn[torch.arange(clusters) % rows.total].to(rows.ids.device)).to(device)
    options = {
        "metric": metric,
        "empty": empty,
        "iterations": iterations,
        "device": device,
        "group": rows.group,
    }
    model = kmeans.KMeans(clusters, start=start, between=between, **options).fit(rows.chunks())  # type: ignore[arg-type]
    assert model.centroids is not None, "it is fitted"
    found = [
        kmeans.assign(chunk.to(device), model.centroids, metric=metric) for chunk in rows.chunks()
    ]
    labels, distances = (rows.whole(torch.cat(column)) for column in zip(*found, strict=True))
    return Clustering(model.centroids, labels, distances, model.objective)
