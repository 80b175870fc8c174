"""Probes on few pictures: what they draw, what they say, and which sizes they refuse."""

import numpy as np
import pytest
import torch

from pymim import views
from pymim.evaluate import Evaluation
from pymim.probes import KNN, Clusters, FineTune, Linear, PatchKNN
from pymim.probes.linear import held_out
from tests.labelled import Labelled
from tests.probes.saying import TURN, Run, said


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
    alone = (
        "linear: no class has two images, so none can be held out to choose the strength: "
        "it is 0.001, the middle one"
    )
    assert (alone in before) == (len(train) == len(np.unique(train)))
    assert ("all test images are of one class, 0" in before) == (len(test) == 1)


def test_probes_say_when_pictures_are_too_few():
    labels = torch.tensor([0] * 60 + [1] * 7 + [2] * 50)
    assert KNN().remark(labels) == "" and Clusters().remark(labels) == ""
    assert KNN(k=117).remark(labels) == "k = 117 of 117 training images: all images vote"
    assert (
        Clusters(clusters=200).remark(labels)
        == "200 clusters for 117 training images: some are empty"
    )
    assert (
        FineTune().remark(labels)
        == "expected 50 images of each class, got 7 to 50: it trains on 107 images"
    )
    assert FineTune(labels_per_class=70).remark(torch.arange(30) % 3) == (
        "expected 70 images of each class, got 10: it trains on 30 images"
    )
    assert FineTune(labels_per_class=7).remark(labels) == "" and Linear().remark(labels) == ""
    assert Linear(strengths=(0.1,)).remark(torch.arange(5)) == ""  # there is nothing to choose


COUNTS = [  # pictures of each class, how many are drawn, and what fine-tuning learns from
    ([20] * 30, 150, "got 5: it trains on 150 images"),
    ([25, 80, 80], 185, "got 25 to 50: it trains on 125 images"),
    ([30, 60, 90], 90, "got 15 to 45: it trains on 90 images"),  # each class in its proportion
    ([60, 70, 80], 210, ""),
]


@pytest.mark.parametrize(("sizes", "drawn", "told"), COUNTS)
def test_fine_tuning_says_how_many_images_it_trains_on(
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
    line = f"evaluation: finetune: expected 50 images of each class, {told}\n" if told else ""
    assert before == line and line in after
    assert f"({drawn} training images of {len(sizes)} classes and" in after
    counts = shown[0].bincount()
    span = [int(counts.min()), int(counts.max())]
    wanted = told.partition("got ")[2].partition(":")[0] or "50"
    assert [int(count) for count in wanted.split(" to ")] == sorted(set(span))
    assert not told or told.endswith(f" {int(counts.sum())} images")


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


def test_fine_tuning_draws_as_many_pictures_of_each_class(monkeypatch):
    images, labels = (
        torch.arange(90.0).view(-1, 1, 1, 1).expand(-1, 3, 8, 8),
        torch.arange(90) // 30,
    )
    shown = []
    train = lambda self, _, few, named: shown.append((few, named)) or torch.nn.Identity()  # noqa: E731
    monkeypatch.setattr(FineTune, "_train", train)
    monkeypatch.setattr("pymim.probes.finetune.accuracy", lambda *_: 0.0)
    FineTune(labels_per_class=10)(Run().encoder, images, labels, images, labels)
    (few, named), ids = shown[0], shown[0][0][:, 0, 0, 0].long()
    assert named.tolist() == [0] * 10 + [1] * 10 + [2] * 10 and torch.equal(labels[ids], named)
    assert ids[:10].max() > 15 and len(few) == 30  # the first ten of a class may be of one day


@pytest.mark.parametrize("wrong", [0, -1, 0.5, float("nan"), None, "all"])
@pytest.mark.parametrize("name", ["train_images", "test_images", "batch"])
def test_sizes_below_one_are_refused(name, wrong):
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
def test_probes_refuse_to_use_no_pictures(probe, name):
    with pytest.raises(
        ValueError, match=f"{probe.__name__}: {name}: expected a whole number, 1 or more, got 0"
    ):
        probe(**{name: 0})
