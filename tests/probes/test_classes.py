"""Labels as people have them: in turn, missing, of one class, or of other classes in the test
set.
"""

import numpy as np
import pytest
import torch

from pymim import views
from pymim.errors import DataError
from pymim.probes import KNN, Assigned, Clusters, FineTune, Linear, PatchKNN
from pymim.probes.classes import renumbered
from tests.labelled import Labelled
from tests.probes.saying import TURN, evaluated, said


def test_labels_in_turn_are_measured_on_every_class(tmp_path, capsys):
    """Labels come in turn, pictures do not depend on them. Evenly spaced pictures would all be of
    one class, and every figure 100 %.
    """
    nothing = {"train_images": 40, "test_images": 20}
    source = [Labelled(TURN, noise=100.0, seed=seed) for seed in range(2)]
    before, after, found = said(capsys, tmp_path, *source, **nothing)
    assert not before
    assert "(40 training images of 10 classes and 20 test images of 10 classes, " in after
    rows = [found, *found["baselines"].values()]
    assert len(rows) == 3 and all(row[name] < 0.5 for row in rows for name in ("knn", "linear"))


NONE = "no picture of the test set has a label; use class folders"
SKIPPED = [
    (TURN, np.full(40, -1), f"left out knn, linear: {NONE}"),
    (TURN, None, f"left out knn, linear: {NONE}"),
    (TURN, Labelled(None, count=40), f"left out knn, linear: {NONE}"),
    (np.full(40, -1), TURN, "left out knn, linear: no picture of the training set has a label"),
    (
        Labelled(None, count=40),
        TURN,
        "left out knn, linear: no picture of the training set has a label",
    ),
    (
        np.full(40, 3),
        TURN,
        "left out knn, linear: all labelled pictures of the training set are of one class, 3",
    ),
    (
        TURN,
        TURN + 10,
        "no class of the test set (10, 11, 12, 13, 14, ...) is among the classes of the "
        "training set (0,",
    ),
]


@pytest.mark.parametrize(("train", "test", "message"), SKIPPED)
def test_what_cannot_be_measured_is_said_before_the_training(
    train, test, message, tmp_path, capsys
):
    before, after, found = said(capsys, tmp_path, train, test)
    assert (
        before == after
        and before.startswith("evaluation: left out knn, linear: ")
        and message in before
    )
    assert before.count("\n") == 1 and found is None


def test_probes_that_learn_from_no_label_are_measured_all_the_same(tmp_path, capsys):
    probes = [KNN(), Clusters(), FineTune(steps=1)]
    before, after, found = said(
        capsys, tmp_path, Labelled(None, count=60), TURN[:50], probes=probes
    )
    assert (
        before == "evaluation: left out knn, finetune: no picture of the training set has a label\n"
    )
    assert before in after and found.keys() == {
        "step",
        "nmi",
        "ari",
        "matched",
        "baselines",
        "protocol",
    }
    assert found["baselines"]["pixels"].keys() == {"nmi", "ari", "matched"}
    scores, truth = torch.eye(10)[torch.from_numpy(TURN[:50])][:, None], torch.from_numpy(TURN[:50])
    assert Assigned(training=True)(scores, torch.full((50,), -1), scores, truth).keys() == {
        *("assigned", "assigned_nmi", "assigned_ari"),
    }


def test_rows_without_a_label_are_left_out_and_said(tmp_path, capsys):
    train, test = TURN.copy(), TURN[:100].copy()
    train[::4], test[5:10] = -1, -1
    before, after, found = said(capsys, tmp_path, train, test)
    assert before.splitlines() == [
        "evaluation: 100 of 400 training images have no label and are left out",
        "evaluation: 5 of 100 test images have no label and are left out",
    ]
    assert (
        "(300 training images of 10 classes and 95 test images of 10 classes" in after
        and before in after
    )
    assert found["knn"] > 0.9


def test_classes_that_training_lacks_count_as_errors_and_are_reported(tmp_path, capsys):
    classes = [f"class {c}" for c in range(10)]
    train = Labelled(TURN[TURN < 8], 0.01, classes=classes)
    test = Labelled(TURN[:100], 0.01, classes=classes)
    before, after, found = said(capsys, tmp_path, train, test, probes=[KNN(k=3)])
    assert before == (
        "evaluation: 2 of 10 classes of the test set are not in the training images that are used "
        "(class 8, class 9): their 20 images count as errors\n"
    )
    assert before in after and "of 8 classes and 100 test images of 10 classes" in after
    assert found["baselines"]["pixels"]["knn"] == pytest.approx(0.8) and found["knn"] <= 0.8


def test_pictures_that_cannot_be_prepared_stop_the_run_before_the_training(tmp_path):
    broken = Labelled(TURN, broken=range(400))
    with pytest.raises(
        DataError, match=r"data.load: source: expected pictures, got 8 broken pictures \(picture"
    ):
        next(evaluated(tmp_path, TURN, broken))
    next(
        evaluated(tmp_path, Labelled(TURN, broken=range(0, 400, 3)), TURN)
    )  # they are told when they are met
    four = views.Center(8, 1, ((0.1, 0.2, 0.3, 0.4), (1, 1, 1, 1)))
    with pytest.raises(ValueError, match="Normalise: statistics: expected 3 channels, got 4"):
        next(evaluated(tmp_path, TURN, TURN, view=four))


def test_more_classes_than_pictures_are_said(tmp_path, capsys):
    train, test = (Labelled(np.arange(120) % 40, 0.01, seed=seed) for seed in range(2))
    before, _, found = said(capsys, tmp_path, train, test, train_images=30, test_images=15)
    assert before.splitlines()[:2] == [
        "evaluation: 30 training images have 30 of 40 classes: "
        "raise Evaluation.train_images to 40 or more",
        "evaluation: 15 test images have 15 of 40 classes: "
        "raise Evaluation.test_images to 40 or more",
    ]
    assert found["baselines"]["pixels"]["knn"] == 1  # the classes of both are drawn in one order


def test_ids_as_large_as_they_come_make_no_large_heads(tmp_path, capsys):
    small, measured = TURN % 3, []
    for labels in (small, np.array([7, 10**9, 2**62])[small]):
        splits = [Labelled(labels[:n], 2.0, seed=n, patterns=small) for n in (300, 60)]
        probes = [KNN(k=3), Linear(iterations=10), PatchKNN(k=3, each=2), FineTune(steps=2)]
        measured.append(said(capsys, tmp_path / str(labels[0]), *splits, probes=probes)[2])
    assert [each.pop("protocol")["train"]["classes"] for each in measured] == [3, 3]
    assert measured[0] == measured[1] and measured[0]["knn"] > 0.4


def test_labels_are_numbered_by_training_and_stay_where_they_can():
    train, test = renumbered(torch.tensor([2, 0, 1, 0, -1]), torch.tensor([1, 2, -1]))
    assert train.tolist() == [2, 0, 1, 0, -1] and test.tolist() == [1, 2, -1]
    train, test = renumbered(torch.tensor([5, 9, 9]), torch.tensor([2, 9, 5, 7, 2]))
    assert train.tolist() == [0, 1, 1] and test.tolist() == [2, 1, 0, 3, 2]
    assert renumbered(torch.tensor([-1]), torch.tensor([4, -1]))[1].tolist() == [0, -1]
