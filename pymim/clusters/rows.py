"""A table whose rows lie in several processes, and k-means over all of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from pymim.ops import kmeans

if TYPE_CHECKING:
    from jaxtyping import Float, Int

CHUNK = 65536  # rows that are on the device at a time


class Rows(NamedTuple):
    """Some rows of a table [N D]; the other processes of `group` hold the others."""

    values: Float[Tensor, "n D"]
    ids: Int[Tensor, " n"]  # which rows, ascending
    total: int  # N
    group: dist.ProcessGroup | None = None

    def pick(self, wanted: Int[Tensor, " K"]) -> Float[Tensor, "K D"]:
        """The rows `wanted`, in every process, whoever has them; float32."""
        place = torch.searchsorted(self.ids, wanted).clamp_max(max(0, len(self.ids) - 1))
        picked = torch.zeros(len(wanted), self.values.shape[1], device=self.values.device)
        if len(self.ids):
            mine = self.ids[place] == wanted
            picked[mine] = self.values[place[mine]].float()
        return self._summed(picked)

    def whole(self, column: Tensor) -> Tensor:
        """A number for each of these rows [n], as one for each row of the table [N], in every process."""
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
    objective: float  # the sum of distances


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
    """K-means from `clusters` rows drawn by `seed` out of all rows of all processes, and a last assignment.

    Rows are drawn by their number in the table, and sums are float64, so that the answer does not depend on how the
    table lies in processes. (Unlike the released code of DeepCluster-v2, which draws from the first one's.)

    between: called between passes, in every process: what it raises ends the clustering.
    """
    drawn = torch.randperm(rows.total, generator=torch.Generator().manual_seed(seed))
    start = rows.pick(drawn[torch.arange(clusters) % rows.total].to(rows.ids.device)).to(device)
    options = {"metric": metric, "empty": empty, "iterations": iterations, "device": device, "group": rows.group}
    model = kmeans.KMeans(clusters, start=start, between=between, **options).fit(rows.chunks())  # type: ignore[arg-type]
    assert model.centroids is not None, "it is fitted"
    found = [kmeans.assign(chunk.to(device), model.centroids, metric=metric) for chunk in rows.chunks()]
    labels, distances = (rows.whole(torch.cat(column)) for column in zip(*found, strict=True))
    return Clustering(model.centroids, labels, distances, model.objective)
