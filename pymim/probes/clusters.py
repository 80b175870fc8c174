"""Do pictures of one class lie together? K-means on frozen features, against the classes."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import normalize

from pymim import measures
from pymim.ops.kmeans import KMeans


class Clusters:
    """Spherical k-means on the training features, the best of `restarts`; then, of the test set, how far clusters
    agree with classes: `nmi`, `ari`, and `matched`, the accuracy when each cluster is named after a class in the
    best way (`clusters.agreement`). Labels are seen by the measures alone.

    clusters: K; by default as many as there are classes, which is what `matched` is for.
    """

    name = "clusters"
    takes = "pooled"

    def __init__(self, clusters: int | None = None, restarts: int = 5) -> None:
        self.clusters, self.restarts = clusters, restarts

    def __call__(self, train: Tensor, labels: Tensor, test: Tensor, truth: Tensor) -> dict[str, float]:
        """Of test features [M D], by centroids of training features [N D]."""
        count = self.clusters or len(labels.unique())
        model = KMeans(count, metric="cosine", restarts=self.restarts).fit(normalize(train.float()))
        found, classes = model.predict(normalize(test.float())).cpu().numpy(), truth.cpu().numpy()
        return {
            "nmi": measures.mutual_information(found, classes),
            "ari": measures.rand_index(found, classes),
            "matched": measures.matched_accuracy(found, classes),
        }
