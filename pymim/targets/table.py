"""A label for every picture, renewed between epochs: the target of clustering methods."""

from __future__ import annotations

import math
import time
from abc import abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pymim.checks import whole
from pymim.clusters.rows import Clustering
from pymim.contracts import Asked, Relabelled, Run, Tally, Target
from pymim.errors import memory_of
from pymim.measures import mutual_information, usage

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Table(Target):
    """Base class: look up the cluster of each picture by dataset index, in each of S sets of K
    clusters [B S].

    Labels are cluster numbers. Unlike the released code of DeepCluster, which renumbers the
    non-empty clusters, an empty one keeps its number: its class is never a target, and centroid k
    belongs to class k.

    `recluster` makes new clusters before each epoch that is a multiple of `every`. Such an epoch is
    N // batch whole steps, at least one. So `epoch` in clusters.jsonl, which counts passes over the
    pictures, may be a fraction. New clusters are passed to the predictor (`relabelled`) and to a
    data order that goes by groups (the first set). The run prints and writes to clusters.jsonl how
    many clusters are used, and how well labels agree with the previous ones and with the source's.

    Labels and distances are buffers, the same in every process. A checkpoint has them, so a run
    resumed within an epoch keeps its labels.

    Args:
        clusters: K of each set.
        sets: number of sets S.
        every: epochs between clusterings; 0: only before the first.
    """

    labels: Int[Tensor, "S N"]  # -1 before the first clustering
    distances: Float[Tensor, "S N"]  # to the centroid, in the metric of the clustering
    replicated_buffers = True  # equal in every process: wrap need not broadcast them

    def __init__(self, clusters: int, sets: int = 1, every: int = 1):
        super().__init__()
        whole(self, 2, clusters=clusters)
        whole(self, 1, sets=sets)
        whole(self, 0, every=every)
        self.width, self.sets = clusters, sets
        self.every = every
        self.register_buffer("labels", torch.empty(sets, 0, dtype=torch.int64))
        self.register_buffer("distances", torch.empty(sets, 0))

    def forward(self, asked: Asked) -> Int[Tensor, "B S"]:
        return self.labels[:, asked.index].T

    @property
    def chance(self) -> float:
        """Give the loss of a predictor that knows nothing."""
        return math.log(self.width)

    def gauges(self, prediction: Tensor, target: Int[Tensor, "B S"]) -> dict[str, Tally]:
        """Give how the batch uses the clusters."""
        return usage(target, self.width)

    @abstractmethod
    def recluster(self, run: Run, seed: int) -> list[Clustering]:
        """Give new clusters for each set, from the run's state at the start of an epoch."""

    def before_load(self, run: Run) -> None:
        shape = self.sets, len(run.loader.source)
        self.labels = self.labels.new_full(shape, -1)
        self.distances = self.distances.new_zeros(shape)

    def before_run(self, run: Run) -> None:
        if (self.labels >= 0).all():  # resumed
            run.loader.regroup(self.labels[0].cpu().numpy())

    @torch.no_grad()
    def before_epoch(self, run: Run) -> None:
        number, began = run.step // run.loader.steps_per_epoch, time.perf_counter()
        if number % self.every if self.every else (self.labels >= 0).all():
            return
        with memory_of(f"{type(self).__name__}: clustering", self._remedy):
            found = self.recluster(run, seed=int(torch.randint(2**31, ())))
        before = self.labels.clone()
        self.labels.copy_(torch.stack([clustering.labels for clustering in found]))
        self.distances.copy_(torch.stack([clustering.distances for clustering in found]))
        run.loader.regroup(self.labels[0].cpu().numpy())
        centroids = torch.stack([clustering.centroids for clustering in found])
        for objective in run.method.objectives:
            if objective.target is self and isinstance(objective.predictor, Relabelled):
                objective.predictor.relabelled(run, centroids)
        facts = self._facts(run, before, found)
        run.report(
            "clusters",
            epoch=round(run.epoch, 4),
            **facts,
            seconds=round(time.perf_counter() - began, 2),
        )

    @property
    def _remedy(self) -> str:
        """Say what helps if memory is too small for clustering."""
        kind = type(self).__name__
        return f"lower targets.{kind}.clusters ({self.width:,}), or train in more processes"

    def _facts(self, run: Run, before: Tensor, found: list[Clustering]) -> dict[str, float]:
        """Give the facts of the first set that the run reports."""
        labels, truth = self.labels[0].cpu().numpy(), run.loader.source.labels
        sizes = self.labels[0].bincount(minlength=self.width)
        facts = {
            "used": int((sizes > 0).sum()),
            "largest": int(sizes.max()),
            "objective": found[0].objective,
        }
        if (before[0] >= 0).all():
            facts["nmi_previous"] = mutual_information(labels, before[0].cpu().numpy())
        if truth is not None and (truth >= 0).any():
            facts["nmi_labels"] = mutual_information(labels[truth >= 0], truth[truth >= 0])
        return facts
