"""Labels as people have them: in turn, missing, of one class, or of other classes in the test set."""

import json

import numpy as np
import pytest
import torch

from pymim import views
from pymim.encoders import ViT
from pymim.errors import DataError
from pymim.evaluate import Evaluation
from pymim.io import Folder
from pymim.probes import KNN, Assigned, Clusters, FineTune, Linear, PatchKNN
from pymim.probes.classes import renumbered
from pymim.probes.linear import held_out
from pymim.world import World
from tests.labelled import Labelled

TURN = np.arange(400) % 10


class Run:
    """What an evaluation asks of a run."""

    def __init__(self):
        torch.manual_seed(0)
        self.encoder = self.untrained = ViT(16, 1, 2, image=8, patch=4)
        self.method, self.world = None, World.current()


def evaluated(folder, train, test, probes=None, run=None, **options):
    """What is said before the training, what at its end, and the measures (None where nothing was)."""
    splits = {"train": train, "test": test}
    splits = {
        name: s if s is None or hasattr(s, "labels") else Labelled(s, 0.3)
        for name, s in splits.items()
    }
    probes = [KNN(k=3), Linear(iterations=20)] if probes is None else probes
    view = options.pop("view", None) or views.Center(8, 1, "none")
    evaluation = Evaluation(lambda split: splits[split], view, probes, **options)
    evaluation.before_run(run := run or Run())
    yield
    Folder(folder).create()
    evaluation(run, Folder(folder), 3)
    yield
    path = folder / "evaluation" / "step-00000003.json"
    yield json.loads(path.read_text()) if path.exists() else None


def said(capsys, *given, **options):
    steps = evaluated(*given, **options)
    next(steps)
    before = capsys.readouterr().err
    next(steps)
    return before, capsys.readouterr().err, next(steps)


def test_labels_in_turn_are_measured_on_every_class(tmp_path, capsys):
    """Pictures that say nothing of their labels: evenly spaced ones were all of one class, and every row 100 %."""
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
        "no class of the test set (10, 11, 12, 13, 14, ...) is among those of the training set (0,",
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


def test_classes_that_training_lacks_count_as_errors_and_are_said(tmp_path, capsys):
    classes = [f"class {c}" for c in range(10)]
    train = Labelled(TURN[TURN < 8], 0.01, classes=classes)
    test = Labelled(TURN[:100], 0.01, classes=classes)
    before, after, found = said(capsys, tmp_path, train, test, probes=[KNN(k=3)])
    assert before == (
        "evaluation: 2 of 10 classes of the test set are not among the training images that are used "
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
        "evaluation: 30 of 40 classes are among 30 training images: raise Evaluation.train_images to 40 or more",
        "evaluation: 15 of 40 classes are among 15 test images: raise Evaluation.test_images to 40 or more",
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


def test_a_fifth_of_each_class_is_held_out_and_never_all_of_one():
    labels = torch.from_numpy(TURN)  # every fifth is of two classes
    assert labels[held_out(labels)].bincount().tolist() == [8] * 10
    few = torch.tensor([0, 0, 1, 2, 2, 2, 3])
    assert set(few[held_out(few)].tolist()) <= {0, 2} and held_out(few).sum() == 1
    assert not held_out(torch.arange(5)).any()
    sizes = torch.tensor([2, 1, 30, 5, 17])
    mixed = torch.repeat_interleave(torch.arange(5), sizes)[torch.randperm(55)]
    kept = mixed[~held_out(mixed)].bincount(minlength=5)
    assert (kept >= 1).all() and kept[1] == 1 and int((sizes - kept).sum()) == 11


SMALL = {
    "one picture a class": (np.arange(10), np.arange(10), {"knn", "linear"}),
    "classes with fewer pictures than folds": (
        np.arange(25) % 8,
        np.arange(9) % 8,
        {"knn", "linear"},
    ),
    "one test picture": (TURN, TURN[:1], {"knn", "linear"}),
    "two pictures": (np.arange(2), np.arange(2), {"knn", "linear"}),
}


@pytest.mark.parametrize("name", SMALL)
def test_small_sets_are_measured(name, tmp_path, capsys):
    train, test, measures = SMALL[name]
    sides = [Labelled(labels, 0.01, seed=seed) for seed, labels in enumerate((train, test))]
    before, _, found = said(capsys, tmp_path, *sides)
    assert measures <= found.keys() and found["baselines"]["pixels"]["knn"] == 1
    assert found["baselines"]["pixels"]["linear"] == 1
    alone = "linear: no class has two images, one to hold out: the strength is 0.001, unchosen"
    assert (alone in before) == (len(train) == len(np.unique(train)))
    assert ("all test images are of one class, 0" in before) == (len(test) == 1)


def test_what_a_probe_makes_of_few_pictures_is_said():
    labels = torch.tensor([0] * 60 + [1] * 7 + [2] * 50)
    assert KNN().remark(labels) == "" and Clusters().remark(labels) == ""
    assert KNN(k=117).remark(labels) == "k is 117 of 117 training images: all of them vote"
    assert (
        Clusters(clusters=200).remark(labels)
        == "200 clusters of 117 training images: some are empty"
    )
    assert (
        FineTune().remark(labels)
        == "50 images a class are asked for, there are 7 to 50: it learns from 107"
    )
    assert FineTune(labels_per_class=70).remark(torch.arange(30) % 3) == (
        "70 images a class are asked for, there are 10: it learns from 30"
    )
    assert FineTune(labels_per_class=7).remark(labels) == "" and Linear().remark(labels) == ""
    assert Linear(strengths=(0.1,)).remark(torch.arange(5)) == ""  # there is nothing to choose


COUNTS = [  # pictures of each class, how many are drawn, and what fine-tuning learns from
    ([20] * 30, 150, "there are 5: it learns from 150"),
    ([25, 80, 80], 185, "there are 25 to 50: it learns from 125"),
    ([30, 60, 90], 90, "there are 15 to 45: it learns from 90"),  # each class in its proportion
    ([60, 70, 80], 210, ""),
]


@pytest.mark.parametrize(("sizes", "drawn", "told"), COUNTS)
def test_fine_tuning_says_how_many_of_a_class_it_learns_from(
    sizes, drawn, told, tmp_path, capsys, monkeypatch
):
    shown = []
    train = lambda self, _, few, named: shown.append(named) or torch.nn.Identity()  # noqa: E731
    monkeypatch.setattr(FineTune, "_train", train)
    monkeypatch.setattr("pymim.probes.finetune.accuracy", lambda *_: 0.0)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    before, after, _ = said(
        capsys,
        tmp_path,
        labels,
        labels[::5],
        probes=[FineTune()],
        train_images=drawn,
        baselines=False,
    )
    line = f"evaluation: finetune: 50 images a class are asked for, {told}\n" if told else ""
    assert before == line and line in after
    assert f"({drawn} training images of {len(sizes)} classes and" in after
    counts = shown[0].bincount()
    span = [int(counts.min()), int(counts.max())]
    wanted = told.partition("there are ")[2].partition(":")[0] or "50"
    assert [int(count) for count in wanted.split(" to ")] == sorted(set(span))
    assert not told or told.endswith(str(int(counts.sum())))


def test_patches_are_taken_from_everywhere_in_a_picture():
    """Sixteen evenly spaced ones of 16 x 16 were its diagonal."""
    seen = []
    tokens = torch.eye(256).expand(2, 256, 256)
    probe = PatchKNN(k=1)
    probe._votes = lambda bank, classes, queries: (
        seen.append(queries) or torch.zeros(len(queries), 2)
    )
    probe(tokens, torch.tensor([0, 1]), tokens, torch.tensor([0, 1]))
    places = seen[0][:16].argmax(1)
    rows, columns = places // 16, places % 16
    assert len(places.unique()) == 16 and ((rows - columns).unique().numel() > 8)


def test_every_fine_tuned_picture_is_drawn_of_its_class(monkeypatch):
    images, labels, shown = (
        torch.arange(90.0).view(-1, 1, 1, 1).expand(-1, 3, 8, 8),
        torch.arange(90) // 30,
        [],
    )
    train = lambda self, _, few, named: shown.append((few, named)) or torch.nn.Identity()  # noqa: E731
    monkeypatch.setattr(FineTune, "_train", train)
    monkeypatch.setattr("pymim.probes.finetune.accuracy", lambda *_: 0.0)
    FineTune(labels_per_class=10)(Run().encoder, images, labels, images, labels)
    (few, named), ids = shown[0], shown[0][0][:, 0, 0, 0].long()
    assert named.tolist() == [0] * 10 + [1] * 10 + [2] * 10 and torch.equal(labels[ids], named)
    assert ids[:10].max() > 15 and len(few) == 30  # the first ten of a class may be of one day


@pytest.mark.parametrize("wrong", [0, -1, 0.5, float("nan"), None, "all"])
@pytest.mark.parametrize("name", ["train_images", "test_images", "batch"])
def test_sizes_that_are_none_are_refused(name, wrong):
    with pytest.raises(
        ValueError, match=f"Evaluation: {name}: expected a whole number, 1 or more, got"
    ):
        Evaluation("digits", views.Center(8), **{name: wrong})


@pytest.mark.parametrize(
    ("probe", "name"),
    [
        (KNN, "k"),
        (PatchKNN, "each"),
        (PatchKNN, "k"),
        (Clusters, "clusters"),
        (FineTune, "labels_per_class"),
    ],
)
def test_probes_of_no_pictures_are_refused(probe, name):
    with pytest.raises(
        ValueError, match=f"{probe.__name__}: {name}: expected a whole number, 1 or more, got 0"
    ):
        probe(**{name: 0})
