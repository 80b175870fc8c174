"""Measures of clusters: how assignments use them, what collapses first; and how far two labellings agree."""

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
    """Of soft assignments [* K] or labels [*]:

    entropy: of a patch's shares, mean over patches, divided by log K: 0 for hard labels, 1 where nothing is told.
    balance: entropy of the clusters' sizes, divided by the largest it can be.
    used: the share of clusters that are the first choice of a patch; of as many clusters as there are patches, if
        these are fewer.
    """
    soft = assignments.is_floating_point()
    shares = assignments.detach().flatten(0, -2).float() if soft else None
    labels = assignments.flatten() if shares is None else shares.argmax(1)
    counts = labels.bincount(minlength=clusters).double()
    sizes = counts if shares is None else shares.double().sum(0)
    entropies = counts.new_zeros(len(labels)) if shares is None else _entropy(shares) / _log(clusters)

    def balance(sizes: Tensor) -> Tensor:
        most = clusters if soft else min(clusters, int(sizes.sum()))
        return _entropy(sizes / sizes.sum().clamp_min(1)) / _log(most)

    return {
        "entropy": mean(entropies),
        "balance": Tally(sizes, balance),
        "used": Tally(counts, lambda counts: (counts > 0).sum() / counts.sum().clamp(1, clusters)),
    }


def mean(values: Tensor, weight: float = 1.0) -> Tally:
    """The mean of all values, each of this weight."""
    sums = torch.stack((values.detach().double().sum(), values.new_tensor(values.numel(), dtype=torch.float64)))
    return Tally(weight * sums, lambda sums: sums[0] / sums[1])


def _entropy(shares: Tensor) -> Tensor:
    out: Tensor = torch.special.entr(shares).sum(-1)
    return out


def _log(count: int) -> float:
    return math.log(max(2, count))


def mutual_information(labels: Labels, others: Labels) -> float:
    """NMI: mutual information over the mean of the two entropies, 0 to 1.

    By the arithmetic mean, which is scikit-learn's; when DeepCluster was released its mean was the geometric one.
    They differ only as far as the two entropies do.
    """
    from sklearn.metrics import normalized_mutual_info_score

    with _many_labels():
        return float(normalized_mutual_info_score(labels, others))


def rand_index(labels: Labels, others: Labels) -> float:
    """ARI: the share of pairs on which the two agree, 0 by chance and 1 at best (Hubert & Arabie 1985)."""
    from sklearn.metrics import adjusted_rand_score

    with _many_labels():
        return float(adjusted_rand_score(labels, others))


def matched_accuracy(labels: Labels, classes: Labels) -> float:
    """The share of pictures that are right when each cluster is named after a class, and no two after the same one,
    in the best way there is (Kuhn 1955). Clusters beyond the number of classes stay unnamed: all wrong."""
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics.cluster import contingency_matrix

    table = contingency_matrix(labels, classes)
    return float(table[linear_sum_assignment(table, maximize=True)].sum() / len(labels))


def _many_labels() -> warnings.catch_warnings[None]:
    """scikit-learn takes many small clusters for regression."""
    return warnings.catch_warnings(action="ignore", category=UserWarning)
