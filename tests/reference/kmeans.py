"""Streaming k-means: assign, accumulate, update, in plain torch and float64."""

import torch


def distances(points, centroids, metric="l2"):
    x, c = points.double(), centroids.double()
    if metric == "cosine":
        return (
            1 - torch.nn.functional.normalize(x, eps=0) @ torch.nn.functional.normalize(c, eps=0).T
        )
    return (x[:, None] - c[None]).square().sum(2)


def assign(points, centroids, metric="l2"):
    """Labels and distances, a few rows at a time: all differences would not fit in memory."""
    rows = [distances(part, centroids, metric).nan_to_num(1.0) for part in points.split(64)]
    best = torch.cat(rows).min(1) if rows else torch.empty(0, 1).min(1)
    return best.indices, best.values


def accumulate(points, labels, found, k, weights=None, metric="l2"):
    """Sums, counts and errors of the rows with a label."""
    x, w = points.double(), torch.ones(len(points)) if weights is None else weights
    if metric == "cosine":
        x = torch.nn.functional.normalize(x)
    one_hot = (labels[:, None] == torch.arange(k)).double() * w[:, None]
    return one_hot.T @ x, one_hot.sum(0), one_hot.T @ found.double()


def update(sums, counts, centroids, metric="l2"):
    """Means; clusters without weight keep their centroid."""
    scale = sums.norm(dim=1) if metric == "cosine" else counts
    return torch.where(scale[:, None] > 0, sums / scale[:, None], centroids.double())


def lloyd(points, centroids, iterations):
    """Centroids and the objective before each update."""
    history = []
    for _ in range(iterations):
        labels, found = assign(points, centroids)
        history.append(float(found.sum()))
        centroids = update(
            *accumulate(points, labels, found, len(centroids))[:2], centroids
        ).float()
    return centroids, history
