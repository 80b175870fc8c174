"""K-means over the features of all pictures, before each epoch (DeepCluster, Caron et al., ECCV
2018).
"""

from __future__ import annotations

from collections.abc import Callable

from pymim.checks import whole
from pymim.clusters.rows import Clustering, cluster
from pymim.clusters.survey import Survey
from pymim.clusters.unit import Unit
from pymim.clusters.whiten import Whitening
from pymim.contracts import Encoder, Run
from pymim.encoders.copy import Copy
from pymim.targets.table import Table


class Epochwise(Table):
    """Label each picture by clustering the current, whitened pooled features of every picture.

    K-means is L2, over all rows of all processes, from one new random start each time: `iterations`
    updates, then an assignment. An empty cluster takes half of a donor, the largest cluster whose
    pictures differ (`ops.kmeans.update`). faiss, which the released code uses, draws the donor by
    size, always with the same seed, and moves copies by a share of 1/1024. Clusters may be empty in
    the last assignment; the run reports them.

    Args:
        encoder: the method's encoder.
        survey: the pass over all pictures. Its view must not be random: use centre crops.
        clusters: number K of clusters.
        whitening: `clusters.Whitening`, or `clusters.Unit` for unit length alone; None: features as
            they are.
        iterations: k-means updates.
        every: epochs between clusterings; 0: only before the first.
        teacher: constructor, called with the encoder; its features are clustered (ClusterFit, Yan
            et al., CVPR 2020), such as an `encoders.Frozen`. None: the encoder's own.
    """

    def __init__(
        self,
        encoder: Encoder,
        survey: Survey,
        clusters: int = 10000,
        whitening: Whitening | Unit | None = None,
        iterations: int = 20,
        every: int = 1,
        teacher: Callable[[Encoder], Copy] | None = None,
    ):
        whole(self, 1, iterations=iterations)
        super().__init__(clusters, every=every)
        self.teacher = None if teacher is None else teacher(encoder)
        self.survey, self.whitening = survey, whitening
        self.iterations = iterations

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
