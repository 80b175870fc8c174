"""Clusters of a method's own heads against the classes, with other judges of the same numbers."""

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score, confusion_matrix, normalized_mutual_info_score

from pymim.probes import Assigned


def scores(sets=3, count=200, clusters=5):
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(clusters, (count,), generator=random)
    turned = torch.nn.functional.one_hot((labels + 2) % clusters).float()  # its own names
    noise = torch.randn(sets, count, clusters, generator=random)
    strength = torch.linspace(0.5, 3, sets)[:, None, None]
    return (turned * strength + noise).transpose(0, 1), labels


def judged(head, labels):
    """The accuracy, NMI and ARI by the confusion matrix of scikit-learn and SciPy's assignment."""
    found = head.argmax(-1).numpy()
    table = confusion_matrix(labels.numpy(), found)
    rows, columns = linear_sum_assignment(-table)
    accuracy = table[rows, columns].sum() / len(found)
    return accuracy, normalized_mutual_info_score(labels, found), adjusted_rand_score(labels, found)


def test_every_head_is_measured_as_other_judges_measure_it():
    given, labels = scores()
    found = Assigned()(given, labels, given, labels, chosen=2)
    for number in range(3):
        assert found[f"assigned_{number}"] == pytest.approx(judged(given[:, number], labels)[0])
    assert found["assigned_0"] < found["assigned_2"]
    named = tuple(found[name] for name in ("assigned", "assigned_nmi", "assigned_ari"))
    assert named == pytest.approx(judged(given[:, 2], labels))


def test_without_a_chosen_head_the_measures_are_the_mean_of_heads():
    given, labels = scores()
    found = Assigned()(given, labels, given, labels)
    every = torch.tensor([judged(given[:, number], labels) for number in range(3)]).mean(0)
    named = [found[name] for name in ("assigned", "assigned_nmi", "assigned_ari")]
    assert named == pytest.approx(every.tolist())


def test_the_test_split_is_measured_and_the_training_split_where_asked():
    (train, labels), (test, truth) = scores(), scores(count=100)
    assert "assigned_train" not in Assigned()(train, labels, test, truth)
    found = Assigned(training=True)(train, labels, test, truth, chosen=0)
    assert found["assigned_train"] == pytest.approx(judged(train[:, 0], labels)[0])
    assert found["assigned"] == pytest.approx(judged(test[:, 0], truth)[0])


def test_one_head_has_one_number_each_and_names_do_not_matter():
    given, labels = scores(sets=1)
    found = Assigned()(given, labels, given, labels)
    assert found.keys() == {"assigned", "assigned_nmi", "assigned_ari"}
    assert Assigned()(given, labels, given.roll(1, -1), labels) == pytest.approx(found)
    sure = torch.nn.functional.one_hot(labels).float()[:, None]
    assert Assigned()(sure, labels, sure, labels) == pytest.approx(dict.fromkeys(found, 1.0))


def test_more_clusters_than_classes_leave_some_without_a_name():
    labels = torch.arange(12) % 2
    halves = torch.nn.functional.one_hot(torch.arange(12) % 4).float()[:, None]
    assert Assigned()(halves, labels, halves, labels)["assigned"] == pytest.approx(0.5)
