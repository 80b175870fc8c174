"""A label for every picture of the source, renewed between epochs: what clustering methods predict."""

from __future__ import annotations

import math
import sys
import time
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from pymim.clusters.agreement import mutual_information
from pymim.clusters.rows import Clustering
from pymim.clusters.usage import usage
from pymim.io import Metrics
from pymim.masks.mask import Mask

if TYPE_CHECKING:
    from jaxtyping import Float, Int

FILE = "clusters.jsonl"


class Table(nn.Module):
    """The target is looked up by dataset index: the cluster of each picture, in each of S sets of K clusters.

    Labels are the clusters' numbers. Unlike the released code of DeepCluster, which renumbers the clusters that are
    not empty, an empty one keeps its number: its class is never asked for, and centroid k belongs to class k.

    Before the epochs that are a multiple of `every`, `recluster` makes new ones. The predictor that follows them is
    told (`relabelled`), and so is a data order that goes by groups (by the first set). How many clusters are in
    use, and how far labels agree with the last ones and the source's own, is said and written to clusters.jsonl.

    The table and what made it are buffers, in every process the same: a checkpoint has them, and a run resumed in
    the middle of an epoch goes on with the labels it had.
    """

    labels: Int[Tensor, "S N"]  # -1 before the first clustering
    distances: Float[Tensor, "S N"]  # to the centroid, in the metric of the clustering
    alike = True  # in every process: see wrap

    def __init__(self, clusters: int, sets: int = 1, every: int = 1):
        super().__init__()
        self.width, self.sets, self.every = clusters, sets, every
        self.register_buffer("labels", torch.empty(sets, 0, dtype=torch.int64))
        self.register_buffer("distances", torch.empty(sets, 0))

    def forward(
        self, views: list[Tensor], view: Float[Tensor, "B C *S"], mask: Mask | None, index: Int[Tensor, " B"]
    ) -> Int[Tensor, "B S"]:
        return self.labels[:, index].T

    @property
    def chance(self) -> float:
        """The loss of a predictor that knows nothing."""
        return math.log(self.width)

    def gauges(self, prediction: Tensor, target: Int[Tensor, "B S"]) -> dict[str, Tensor]:
        """How the batch uses the clusters."""
        return usage(target, self.width)

    @abstractmethod
    def recluster(self, context: Any, seed: int) -> list[Clustering]:
        """New clusters, for each set, with the trainer at the start of an epoch."""

    def before_load(self, context: Any) -> None:
        shape = self.sets, len(context.loader.source)
        self.labels = self.labels.new_full(shape, -1)
        self.distances = self.distances.new_zeros(shape)

    def before_run(self, context: Any) -> None:
        if (self.labels >= 0).all():  # resumed
            context.loader.regroup(self.labels[0].cpu().numpy())

    @torch.no_grad()
    def before_epoch(self, context: Any) -> None:
        epoch, began = context.step // context.loader.steps_per_epoch, time.perf_counter()
        if epoch % self.every:
            return
        found = self.recluster(context, seed=int(torch.randint(2**31, ())))
        before = self.labels.clone()
        self.labels.copy_(torch.stack([clustering.labels for clustering in found]))
        self.distances.copy_(torch.stack([clustering.distances for clustering in found]))
        context.loader.regroup(self.labels[0].cpu().numpy())
        centroids = torch.stack([clustering.centroids for clustering in found])
        for objective in context.method.objectives:
            if objective.target is self and hasattr(objective.predictor, "relabelled"):
                objective.predictor.relabelled(context, centroids)
        if context.world.leads:
            _report(context, epoch, self._facts(context, before, found), time.perf_counter() - began)

    def _facts(self, context: Any, before: Tensor, found: list[Clustering]) -> dict[str, float]:
        """Of the first set."""
        labels, truth = self.labels[0].cpu().numpy(), context.loader.source.labels
        sizes = self.labels[0].bincount(minlength=self.width)
        facts = {"used": int((sizes > 0).sum()), "largest": int(sizes.max()), "objective": found[0].objective}
        if (before[0] >= 0).all():
            facts["nmi_previous"] = mutual_information(labels, before[0].cpu().numpy())
        if truth is not None and (truth >= 0).any():
            facts["nmi_labels"] = mutual_information(labels[truth >= 0], truth[truth >= 0])
        return facts


def _report(context: Any, epoch: int, facts: dict[str, float], seconds: float) -> None:
    metrics = Metrics(context.folder / FILE, context.step - 1)  # a resumed run may cluster again
    metrics.write(context.step, epoch=epoch, **facts, seconds=round(seconds, 2))
    metrics.close()
    names = {"nmi_previous": "with the previous ones", "nmi_labels": "with the source's own"}
    agreement = [f"{facts[key]:.3f} {name}" for key, name in names.items() if key in facts]
    tqdm.write(
        f"epoch {epoch}: {facts['used']} clusters in use, the largest of {facts['largest']}"
        + f"; NMI {', '.join(agreement)}" * bool(agreement),
        file=sys.stderr,
    )
