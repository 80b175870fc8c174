"""Re-clustering before each epoch: labels, the new head, and what is left alone."""

import functools
import json

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from torch import nn

from pymim import clusters, data, losses, predictors, targets
from pymim.clusters.rows import Clustering, Rows, cluster
from pymim.contracts import Encoder, Features
from pymim.encoders import Frozen
from pymim.io import Folder
from pymim.measures import mutual_information
from tests.asking import ask, batch_of
from tests.gauged import gauges_of
from tests.targets.runs import CENTER, Pictures, started, trainer

CPU = torch.device("cpu")
EMPTY = Clustering(torch.zeros(7, 6), torch.zeros(50, dtype=torch.int64), torch.zeros(50), 0.0)
OPTIONS = {"metric": "l2", "empty": "split", "iterations": 20, "device": CPU}


class Corner(Encoder):
    """Sees the mean of each channel, times a weight that training may change."""

    width, channels, patch, base, prefix = 3, 3, (4, 4), (4, 4), 0

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))

    def forward(self, view, mask=None):
        pooled = view.mean((2, 3)) * self.weight
        return Features(pooled[:, None], pooled[:, None, :0], {}, pooled)


def coloured(n=120):
    """Pictures of one of four colours each, and a little noise."""
    random = np.random.default_rng(0)
    palette = np.array([[20, 20, 20], [230, 20, 20], [20, 230, 20], [20, 20, 230]])
    labels = np.arange(n) % 4
    images = palette[labels][:, :, None, None] + random.integers(-5, 6, size=(n, 3, 16, 16))
    return Pictures(torch.from_numpy(images.astype(np.uint8)), labels)


def test_clusters_of_coloured_pictures_have_one_colour(tmp_path):
    target = functools.partial(
        targets.Epochwise, survey=CENTER, clusters=12, whitening=clusters.Whitening(3)
    )
    run = trainer(coloured(), target, encoder=Corner())
    labels = started(run, tmp_path).target.labels[0].numpy()
    pairs = {*zip(labels.tolist(), run.loader.source.labels.tolist(), strict=True)}
    assert len(pairs) == len(np.unique(labels)) >= 4
    run.step, run.images = 7, 7 * 16
    run.method.before_epoch(run)
    first, second = (
        json.loads(line) for line in (tmp_path / "clusters.jsonl").read_text().splitlines()
    )
    assert (
        first["nmi_labels"] > 0.5
        and first["used"] == len(np.unique(labels))
        and first["epoch"] == 0
    )
    assert "nmi_previous" not in first and second["nmi_previous"] > 0.5
    assert (second["step"], second["epoch"]) == (7, round(7 * 16 / len(run.loader.source), 4))


def test_the_target_is_looked_up_by_index(tmp_path):
    objective = started(trainer(), tmp_path)
    index = torch.tensor([40, 3, 3])
    target = ask(objective.target, batch_of(index=index))
    assert torch.equal(target, objective.target.labels[0, index][:, None])
    assert (objective.target.distances >= 0).all()


def test_gauges_say_how_a_batch_uses_the_clusters_and_how_far_the_loss_is_from_chance(tmp_path):
    run = trainer()
    objective = started(run, tmp_path)
    out = run.method(next(run.loader.batches(0, 1)), 0)
    found = gauges_of(run.method, out)
    assert found["epochwise/of_chance"] == pytest.approx(1, abs=0.05)  # the head is new
    labels = objective.target.labels[0, next(run.loader.batches(0, 1)).index]
    assert found["epochwise/used"] == pytest.approx(len(labels.unique()) / 7)


def test_one_picture_many_times_ends_with_one_cluster_in_use(tmp_path, capsys):
    source = Pictures(torch.full((40, 3, 16, 16), 7, dtype=torch.uint8))
    target = functools.partial(
        targets.Epochwise, survey=CENTER, clusters=10, whitening=clusters.Whitening()
    )
    objective = started(trainer(source, target), tmp_path)
    assert objective.target.labels.unique().numel() == 1
    assert "epoch 0, used 1, largest 40" in capsys.readouterr().err


def test_more_clusters_than_pictures_leave_clusters_empty(tmp_path):
    objective = started(
        trainer(target=functools.partial(targets.Epochwise, survey=CENTER, clusters=80)), tmp_path
    )
    assert 40 <= objective.target.labels.unique().numel() <= 50


def test_labels_are_the_numbers_of_the_nearest_centroids_where_clusters_are_empty():
    """So that centroid k belongs to class k; the released code renumbers those in use."""
    points = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))[torch.arange(60) % 6]
    for empty in ("split", "keep"):
        found = cluster(
            Rows(points, torch.arange(60), 60), 30, seed=3, **{**OPTIONS, "empty": empty}
        )
        used = found.labels.unique()
        assert len(used) < 30 and used.max() >= len(used), "with gaps, or it shows nothing"
        distances = torch.cdist(points, found.centroids)
        torch.testing.assert_close(
            distances.gather(1, found.labels[:, None])[:, 0], distances.amin(1)
        )
        torch.testing.assert_close(found.centroids[found.labels], points)


def test_classes_without_pictures_do_not_change_the_loss():
    scores = torch.zeros(4, 1, 9, requires_grad=True)
    loss = losses.CrossEntropy()(scores, torch.tensor([[0], [8], [8], [3]]))
    torch.testing.assert_close(loss, torch.full((4, 1), float(np.log(9))))
    loss.sum().backward()
    assert (scores.grad[:, 0, 5] > 0).all()  # a class without pictures is pushed down, no more


def test_each_epoch_has_a_new_head_and_the_body_keeps_its_momentum(tmp_path):
    run = trainer(target=functools.partial(targets.Epochwise, survey=CENTER, clusters=2000))
    objective = started(run, tmp_path)
    first = objective.predictor.head.weight.clone()
    batch = next(run.loader.batches(0, 1))
    run.method(batch, 0).loss.backward()
    run.optimizer.set(run.stepper, 0, 6, 16)
    run.stepper.step()
    body = dict(run.method.encoder.named_parameters())
    momentum = {name: run.stepper.state[p]["momentum_buffer"].clone() for name, p in body.items()}
    assert objective.predictor.head.weight in run.stepper.state
    run.method.before_epoch(run)
    head = objective.predictor.head
    assert not torch.equal(head.weight, first)
    assert (
        head.weight.std().item() == pytest.approx(0.01, rel=0.05)
        and abs(head.weight.mean().item()) < 1e-3
    )
    assert (head.bias == 0).all()
    assert head.weight not in run.stepper.state and head.bias not in run.stepper.state
    for name, p in body.items():
        assert torch.equal(run.stepper.state[p]["momentum_buffer"], momentum[name])


def test_labels_group_the_order_and_do_so_again_after_a_resume(tmp_path):
    run = trainer(order=data.Balanced())
    objective = started(run, tmp_path)
    groups = objective.target.labels[0].numpy()
    index = np.concatenate([run.loader.make.order.at(0, step, 16, 50)[0] for step in range(3)])
    served = np.bincount(groups[index], minlength=7)
    assert np.ptp(served[np.unique(groups)]) <= 1
    again = trainer(order=data.Balanced())
    again.method.load_state_dict(run.method.state_dict())
    again.method.before_run(again)
    assert np.array_equal(again.loader.make.order.groups, groups)


def test_labels_change_in_every_second_epoch(tmp_path):
    run = trainer(target=functools.partial(targets.Epochwise, survey=CENTER, clusters=7, every=2))
    objective = started(run, tmp_path)
    head = objective.predictor.head.weight.clone()
    run.step = 3
    run.method.before_epoch(run)
    assert torch.equal(objective.predictor.head.weight, head)
    run.step = 6
    run.method.before_epoch(run)
    assert not torch.equal(objective.predictor.head.weight, head)


def test_equal_seeds_give_equal_clusters_and_another_seed_gives_others():
    values = torch.randn(300, 5, generator=torch.Generator().manual_seed(0))
    rows = Rows(values, torch.arange(300), 300)
    first, same, other = (cluster(rows, 12, seed=seed, **OPTIONS) for seed in (1, 1, 2))
    assert torch.equal(first.labels, same.labels) and not torch.equal(first.labels, other.labels)
    nearest = torch.cdist(values, first.centroids).min(1)
    assert torch.equal(first.labels, nearest.indices)
    assert first.objective == pytest.approx(nearest.values.square().sum().item(), rel=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_a_random_start_ends_where_scikit_learn_ends_from_the_same_rows(seed):
    """A start is seldom at all blobs: two rows of one blob are drawn, and none of another."""
    random = torch.Generator().manual_seed(5)
    centres, truth = torch.randn(10, 24, generator=random) * 2, torch.arange(600) % 10
    values = centres[truth] + torch.randn(600, 24, generator=random)
    found = cluster(Rows(values, torch.arange(600), 600), 10, seed=seed, **OPTIONS)
    start = values[torch.randperm(600, generator=torch.Generator().manual_seed(seed))[:10]].numpy()
    theirs = KMeans(10, init=start, n_init=1, max_iter=20, tol=0, algorithm="lloyd").fit(
        values.numpy()
    )
    assert found.objective == pytest.approx(theirs.inertia_, rel=1e-5)
    assert mutual_information(found.labels.numpy(), theirs.labels_) == pytest.approx(1)
    assert mutual_information(found.labels.numpy(), truth.numpy()) > 0.7


def test_each_epoch_clusters_from_a_start_of_its_own(tmp_path, monkeypatch):
    seeds = []
    monkeypatch.setattr(
        targets.Epochwise, "recluster", lambda self, context, seed: seeds.append(seed) or [EMPTY]
    )
    for steps in (range(6), [3]):  # the second run begins with the second epoch
        run = trainer()
        run.folder = Folder(tmp_path)
        run.method.objectives[0].target.labels = torch.zeros(1, 50, dtype=torch.int64)
        for step in steps:
            run._begin(step)
    assert len(seeds) == 3 and seeds[0] != seeds[1] == seeds[2]


def test_chunks_do_not_change_a_bit(monkeypatch):
    rows = Rows(
        torch.randn(300, 5, generator=torch.Generator().manual_seed(0)), torch.arange(300), 300
    )
    whole = cluster(rows, 12, seed=1, **OPTIONS)
    monkeypatch.setattr("pymim.clusters.rows.CHUNK", 37)
    pieces = cluster(rows, 12, seed=1, **OPTIONS)
    assert torch.equal(whole.centroids, pieces.centroids) and torch.equal(
        whole.labels, pieces.labels
    )


def taught(**options):
    """Labels are made once, of another encoder's features of unit length."""
    teacher = functools.partial(Frozen, model=Corner())
    made = {
        "survey": CENTER,
        "clusters": 7,
        "whitening": clusters.Unit(),
        "every": 0,
        "teacher": teacher,
    }
    target = functools.partial(targets.Epochwise, **made | options)
    return trainer(target=target, predictor=predictors.Pooled)


def test_labels_made_once_are_the_clusters_of_another_encoder_s_features(tmp_path):
    """Judged by scikit-learn's k-means from the same rows, on features that a plain loop makes."""
    run = taught(iterations=50)
    objective = started(run, tmp_path)
    pixels = run.loader.source.images.float() / 255
    features = ((pixels - 0.5) / 0.5).mean((2, 3))
    unit = (features / (features.norm(dim=1, keepdim=True) + 1e-5)).numpy()
    labels = objective.target.labels[0].numpy()
    centroids = np.stack([unit[labels == k].mean(0) for k in range(7)])
    theirs = KMeans(7, init=centroids, n_init=1, max_iter=1, tol=0, algorithm="lloyd").fit(unit)
    assert np.array_equal(theirs.labels_, labels), (
        "it has converged: another iteration changes nothing"
    )
    assert theirs.inertia_ == pytest.approx(objective.target.distances.sum().item(), rel=1e-3)
    assert not objective.target.teacher.module.weight.requires_grad
    assert objective.target.teacher.module is not run.method.encoder


def test_labels_made_once_stay_and_a_resumed_run_keeps_them(tmp_path):
    run = taught()
    run.run(Folder(tmp_path / "run"))  # two epochs
    assert len((tmp_path / "run/clusters.jsonl").read_text().splitlines()) == 1
    (saved,) = (tmp_path / "run/checkpoints").iterdir()
    again = taught()
    again.method.objectives[0].target.recluster = None  # it would fail
    again.steps = 12
    again.run(Folder(tmp_path / "again"), again.restore(saved))
    for part in ("labels", "distances"):
        first, second = (getattr(each.method.objectives[0].target, part) for each in (run, again))
        assert torch.equal(first, second)


def test_rows_of_unit_length_and_none_of_zeros_divides_by_zero():
    rows = Rows(torch.tensor([[3.0, 4.0], [0.0, 0.0]]), torch.arange(2), 2)
    found = clusters.Unit(0.5)(rows, CPU).values
    torch.testing.assert_close(
        found, torch.tensor([[3.0, 4.0], [0.0, 0.0]]) / torch.tensor([[5.5], [0.5]])
    )
