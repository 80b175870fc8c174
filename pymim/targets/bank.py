"""Spherical k-means over embeddings remembered from the last epoch (DeepCluster-v2: Caron et al., NeurIPS 2020)."""

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
    """Labels are clusters of what training itself made of each picture, in the last epoch: no pass over the data.

    The pooled embeddings of the first `crops` views are kept, for each picture the last ones; set s clusters those
    of view s mod `crops`, by cosine, from a random start, and a cluster that is empty keeps its centroid. The
    centroids become the predictor's (`predictors.Centroids`).

    Before the first epoch the bank is filled by a survey, through the views of the training. Unlike the released
    code, which drops the last batch and gives pictures it has not seen the label -100, every picture is in the bank
    from then on, if with an older embedding; a label below 0 would cost nothing (`losses.CrossEntropy`).

    Every process keeps the whole bank, crops N E numbers, and sees all rows of each global batch: so a checkpoint
    has it whole, and any number of processes may go on.
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
        self.survey, self.crops, self.iterations = survey or Survey(), crops, iterations
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
        options: dict[str, Any] = {"metric": "cosine", "empty": "keep", "iterations": self.iterations}
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
