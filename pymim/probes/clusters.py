"""Do pictures of one class lie together? K-means on frozen features, against the classes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from pymim import measures
from pymim.checks import given, whole
from pymim.ops.kmeans import KMeans


class Clusters:
    """Spherical k-means on the training features, the best of `restarts`; then, of the test set, how far clusters
    agree with classes: `nmi`, `ari`, and `matched`, the accuracy when each cluster is named after a class in the
    best way (`clusters.agreement`). Labels are seen by the measures alone.

    clusters: K; by default as many as there are classes in both sets, which is what `matched` is for.
    """

    name = "clusters"
    takes = "pooled"
    supervised = False

    def __init__(self, clusters: int | None = None, restarts: int = 5) -> None:
        whole(self, 1, restarts=restarts, **given(clusters=clusters))
        self.clusters, self.restarts = clusters, restarts

    def remark(self, labels: Tensor) -> str:
        """Say so where there are more clusters than images."""
        more = self.clusters is not None and self.clusters > len(labels)
        return f"{self.clusters} clusters of {len(labels)} training images: some are empty" if more else ""

    def __call__(self, train: Tensor, labels: Tensor, test: Tensor, truth: Tensor) -> dict[str, float]:
        """Of test features [M D], by centroids of training features [N D]."""
        classes = torch.cat([labels, truth]).unique()
        count = self.clusters or int((classes >= 0).sum())
        model = KMeans(count, metric="cosine", restarts=self.restarts).fit(normalize(train.float()))
        found, named = model.predict(normalize(test.float())).cpu().numpy(), truth.cpu().numpy()
        return {
            "nmi": measures.mutual_information(found, named),
            "ari": measures.rand_index(found, named),
            "matched": measures.matched_accuracy(found, named),
        }
