"""Spherical k-means over embeddings stored during the last epoch (DeepCluster-v2: Caron et al.,
NeurIPS 2020).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pymim.checks import whole
from pymim.clusters.rows import Clustering, Rows, cluster
from pymim.clusters.survey import Survey
from pymim.contracts import Encoder, Run, Source
from pymim.targets.table import Table
from pymim.world import gathered

if TYPE_CHECKING:
    from jaxtyping import Float

    from pymim.contracts import Batch, Output


class Bank(Table):
    """Label each picture by clustering the embeddings that training itself made in the last epoch.

    This needs no extra pass over the data. The bank stores the last pooled embedding of each
    picture for the first `crops` views. Set s clusters those of view s mod `crops`, by cosine, from
    a random start; an empty cluster keeps its centroid. The centroids become the predictor's
    (`predictors.Centroids`).

    Before the first epoch a survey fills the bank, through the training views. Unlike the released
    code, which drops the last batch and labels unseen pictures -100, every picture is in the bank
    from then on, possibly with an older embedding. (A label below 0 would have no loss:
    `losses.CrossEntropy`.)

    Every process stores the whole bank, crops N E numbers, and receives all rows of each global
    batch. So a checkpoint has the whole bank, and any number of processes can resume.

    Args:
        encoder: the method's encoder; gives the embedding's width E.
        survey: the pass that fills the bank first; default: `clusters.Survey()`.
        clusters: K of each set.
        sets: number of sets of clusters.
        crops: number of views stored.
        iterations: k-means updates.
        every: epochs between clusterings; 0: only before the first.
    """

    bank: Float[Tensor, "C N E"]

    def __init__(
        self,
        encoder: Encoder,
        survey: Survey | None = None,
        clusters: int = 3000,
        sets: int = 3,
        crops: int = 2,
        iterations: int = 10,
        every: int = 1,
    ):
        whole(self, 1, crops=crops, iterations=iterations)
        super().__init__(clusters, sets, every)
        self.survey, self.crops = survey or Survey(), crops
        self.iterations = iterations
        self.register_buffer("bank", torch.empty(crops, 0, encoder.embedding))

    def before_load(self, run: Run) -> None:
        super().before_load(run)
        self.bank = self.bank.new_zeros(self.crops, self.labels.shape[1], self.bank.shape[2])

    def before_run(self, run: Run) -> None:
        super().before_run(run)
        if not run.step:
            for table, rows in zip(self.bank, self.survey(run)[: self.crops], strict=True):
                for column in range(table.shape[1]):
                    table[:, column] = rows.whole(rows.values[:, column].to(table.device))

    @torch.no_grad()
    def after_forward(self, batch: Batch, output: Output) -> None:
        for view, table in enumerate(self.bank):
            embedding = output.branches[Source(view)].features.pooled.detach().float()
            table[gathered(batch.index)] = gathered(embedding)

    def recluster(self, run: Run, seed: int) -> list[Clustering]:
        world, total = run.world, self.labels.shape[1]
        ids = torch.arange(world.rank, total, world.size, device=self.bank.device)
        options: dict[str, Any] = {
            "metric": "cosine",
            "empty": "keep",
            "iterations": self.iterations,
        }
        return [
            cluster(
                Rows(self.bank[number % self.crops][ids], ids, total, world.group),
                self.width,
                seed=seed + number,
                device=world.device,
                between=world.heed,
                **options,
            )
            for number in range(self.sets)
        ]
