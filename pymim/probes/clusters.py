"""Cluster frozen features by k-means, and compare the clusters with the classes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from pymim import measures
from pymim.checks import given, whole
from pymim.ops.kmeans import KMeans


class Clusters:
    """Run spherical k-means on training features, then measure how test clusters agree with
    classes.

    Keeps the best of `restarts`. Gives `nmi`, `ari`, and `matched`, the accuracy when clusters are
    matched to classes in the best way (`measures.matched_accuracy`). Only the measures see labels.

    Args:
        clusters: K; default: the number of classes in both sets, which suits `matched`.
        restarts: runs of k-means.
    """

    name = "clusters"
    takes = "pooled"
    supervised = False

    def __init__(self, clusters: int | None = None, restarts: int = 5) -> None:
        whole(self, 1, restarts=restarts, **given(clusters=clusters))
        self.clusters, self.restarts = clusters, restarts

    def remark(self, labels: Tensor) -> str:
        """Say if there are more clusters than images."""
        if self.clusters is None or self.clusters <= len(labels):
            return ""
        return f"{self.clusters} clusters for {len(labels)} training images: some are empty"

    def __call__(
        self, train: Tensor, labels: Tensor, test: Tensor, truth: Tensor
    ) -> dict[str, float]:
        """Measure test features [M D], by centroids of training features [N D]."""
        classes = torch.cat([labels, truth]).unique()
        count = self.clusters or int((classes >= 0).sum())
        model = KMeans(count, metric="cosine", restarts=self.restarts).fit(normalize(train.float()))
        found, named = model.predict(normalize(test.float())).cpu().numpy(), truth.cpu().numpy()
        return {
            "nmi": measures.mutual_information(found, named),
            "ari": measures.rand_index(found, named),
            "matched": measures.matched_accuracy(found, named),
        }
