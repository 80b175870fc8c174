"""Measure clusters: how assignments use them, and how far two labellings agree."""

from __future__ import annotations

import math
import warnings
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from pymim.contracts import Tally

Labels = NDArray[Any]


def usage(assignments: Tensor, clusters: int) -> dict[str, Tally]:
    """Measure how soft assignments [* K] or labels [*] use the clusters.

    entropy: of a patch's assignment, averaged over patches, divided by log K: 0 for hard labels, 1
        for uniform ones.
    balance: entropy of the clusters' sizes, divided by its maximum.
    used: share of clusters that are the first choice of a patch. With fewer patches than clusters,
        the share of that number.
    """
    soft = assignments.is_floating_point()
    shares = assignments.detach().flatten(0, -2).float() if soft else None
    labels = assignments.flatten() if shares is None else shares.argmax(1)
    counts = labels.bincount(minlength=clusters).double()
    sizes = counts if shares is None else shares.double().sum(0)
    entropies = (
        counts.new_zeros(len(labels)) if shares is None else _entropy(shares) / _log(clusters)
    )

    def balance(sizes: Tensor) -> Tensor:
        most = clusters if soft else min(clusters, int(sizes.sum()))
        return _entropy(sizes / sizes.sum().clamp_min(1)) / _log(most)

    return {
        "entropy": mean(entropies),
        "balance": Tally(sizes, balance),
        "used": Tally(counts, lambda counts: (counts > 0).sum() / counts.sum().clamp(1, clusters)),
    }


def mean(values: Tensor, weight: float = 1.0) -> Tally:
    """Average all values over pieces, each with this weight."""
    sums = torch.stack(
        (values.detach().double().sum(), values.new_tensor(values.numel(), dtype=torch.float64))
    )
    return Tally(weight * sums, lambda sums: sums[0] / sums[1])


def _entropy(shares: Tensor) -> Tensor:
    out: Tensor = torch.special.entr(shares).sum(-1)
    return out


def _log(count: int) -> float:
    return math.log(max(2, count))


def mutual_information(labels: Labels, others: Labels) -> float:
    """Return the NMI: mutual information divided by the mean of the two entropies, 0 to 1.

    The mean is arithmetic, as in scikit-learn. When DeepCluster was released, scikit-learn's was
    geometric; the two differ only if the entropies do.
    """
    from sklearn.metrics import normalized_mutual_info_score

    with _many_labels():
        return float(normalized_mutual_info_score(labels, others))


def rand_index(labels: Labels, others: Labels) -> float:
    """Return the ARI: agreement on pairs, 0 by chance and 1 at best (Hubert & Arabie 1985)."""
    from sklearn.metrics import adjusted_rand_score

    with _many_labels():
        return float(adjusted_rand_score(labels, others))


def matched_accuracy(labels: Labels, classes: Labels) -> float:
    """Return the accuracy under the best one-to-one match of clusters to classes (Kuhn 1955).

    Clusters beyond the number of classes stay without a class: all their pictures count as errors.
    """
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics.cluster import contingency_matrix

    table = contingency_matrix(labels, classes)
    return float(table[linear_sum_assignment(table, maximize=True)].sum() / len(labels))


def _many_labels() -> warnings.catch_warnings[None]:
    """Silence scikit-learn's warning that many small clusters look like regression."""
    return warnings.catch_warnings(action="ignore", category=UserWarning)
