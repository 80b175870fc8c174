"""Agreement does not see names."""

import itertools
import warnings

import numpy as np
import pytest

from pymim import measures

RANDOM = np.random.default_rng(0)


def test_measures_do_not_depend_on_the_numbers_of_clusters():
    labels = RANDOM.integers(5, size=200)
    renamed = RANDOM.permutation(5)[labels]
    assert not (labels == renamed).all()
    for measure in (measures.mutual_information, measures.rand_index, measures.matched_accuracy):
        assert measure(labels, renamed) == pytest.approx(1)


def test_random_labels_have_measures_near_chance():
    labels, others = RANDOM.integers(4, size=(2, 5000))
    assert measures.mutual_information(labels, others) < 0.01
    assert abs(measures.rand_index(labels, others)) < 0.01
    assert measures.matched_accuracy(labels, others) < 0.3


@pytest.mark.parametrize("clusters", [3, 6])
def test_the_best_matching_of_clusters_to_classes_is_found(clusters):
    labels, classes = RANDOM.integers(clusters, size=60), RANDOM.integers(3, size=60)
    named = itertools.permutations(range(clusters), 3)
    best = max(sum((labels[classes == c] == name[c]).sum() for c in range(3)) for name in named)
    assert measures.matched_accuracy(labels, classes) == pytest.approx(best / 60)


def test_one_cluster_a_picture_is_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert 0 < measures.mutual_information(np.arange(30), np.arange(30) % 2) < 1
