"""K-means over the features of the whole source, before each epoch (DeepCluster, Caron et al., ECCV 2018)."""

from __future__ import annotations

from collections.abc import Callable

from pymim.checks import whole
from pymim.clusters.rows import Clustering, cluster
from pymim.clusters.survey import Survey
from pymim.clusters.unit import Unit
from pymim.clusters.whiten import Whitening
from pymim.contracts import Encoder, Run
from pymim.encoders.average import Average
from pymim.targets.table import Table


class Epochwise(Table):
    """Labels are the clusters of pooled features, whitened, of every picture of the source: as they are at present.

    K-means is L2, from one random start anew each time, over all rows of all processes, `iterations` updates and a
    last assignment. A cluster that is empty takes half of the one with the most pictures whose pictures differ
    (`ops.kmeans.update`): faiss, which the released code uses, draws the donor by size, with the same seed always,
    and moves copies by a share of 1/1024. Some may be empty still in the last assignment: they are reported.

    Args:
        survey: the view must not be random, as centre crops are.
        whitening: or `clusters.Unit`, their lengths alone; None clusters features as they are.
        every: how many epochs labels last; 0: they are made once, before the first.
        teacher: constructor, called with the encoder: the features are of this one (ClusterFit, Yan et al., CVPR
            2020), such as an `encoders.Frozen`; None: the encoder's own.
    """

    def __init__(
        self,
        encoder: Encoder,
        survey: Survey,
        clusters: int = 10000,
        whitening: Whitening | Unit | None = None,
        iterations: int = 20,
        every: int = 1,
        teacher: Callable[[Encoder], Average] | None = None,
    ):
        whole(self, 1, iterations=iterations)
        super().__init__(clusters, every=every)
        self.teacher = None if teacher is None else teacher(encoder)
        self.survey, self.whitening, self.iterations = survey, whitening, iterations

    def recluster(self, run: Run, seed: int) -> list[Clustering]:
        rows, device = self.survey(run, self.teacher)[0], run.world.device  # type: ignore[arg-type]
        rows = rows if self.whitening is None else self.whitening(rows, device)
        return [
            cluster(
                rows,
                self.width,
                metric="l2",
                empty="split",
                iterations=self.iterations,
                seed=seed,
                device=device,
                between=run.world.heed,
            )
        ]
