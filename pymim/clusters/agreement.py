"""How far two labellings of the same pictures agree, whatever the labels are called."""

from __future__ import annotations

import warnings
from typing import Any

from numpy.typing import NDArray

Labels = NDArray[Any]


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
