"""Predictions as targets: of neighbours that are mined, and of oneself where one is sure."""

import functools
import json

import pytest
import torch
import torch.nn.functional as F
from sklearn.neighbors import NearestNeighbors

from pymim import data, losses, predictors, targets, views
from pymim.contracts import Asked
from pymim.io import Folder
from pymim.method import Method
from pymim.objective import Objective
from pymim.optim import SGD
from pymim.schedule import Constant, Steps
from pymim.train import Trainer
from tests.asking import batch_of
from tests.targets.runs import CENTER, make_encoder, pictures

SETS, CLUSTERS = 3, 5


def target(kind=targets.Neighbours, **options):
    if kind is targets.Predicted:
        return functools.partial(kind, width=CLUSTERS, **options)
    more = {"survey": CENTER} if kind is targets.Neighbours else {}
    return functools.partial(kind, clusters=CLUSTERS, **more, **options)


def agree(**options):
    return Objective(
        options.pop("target", target(count=4)),
        functools.partial(predictors.Heads, sets=SETS),
        losses.Sum((losses.Agreement(), losses.MeanEntropy(SETS)), (1, -5), sets=SETS),
        **{"on": "pooled", "source": 1, "to": 2, "name": "agree"} | options,
    )


def label(threshold=0.3, **options):
    return Objective(
        target(targets.Confident, threshold=threshold),
        "agree",
        losses.CrossEntropy(),
        **{"on": "pooled", "source": 1, "to": 0, "name": "label"} | options,
    )


def trainer(*objectives, source=None, **options):
    view = views.Pretrain(16, statistics="half")
    shown = (views.Center(16, statistics="half"), view, views.Partner(view))
    loader = functools.partial(data.Loader, source or pictures(), shown)
    options = {
        "steps": 6,
        "batch": 16,
        "optimizer": SGD(Constant(0.05)),
        "precision": "float32",
    } | options
    return Trainer(Method(make_encoder(), objectives or [agree()]), loader, **options)


def begun(run, folder):
    run.folder = Folder(folder)
    run.method.before_run(run)
    return run.method.objectives[0].target


@pytest.mark.parametrize("itself", [True, False])
def test_neighbours_are_those_of_the_features_and_the_loader_pairs_them(itself, tmp_path):
    run = trainer(agree(target=target(count=4, itself=itself)))
    mined = begun(run, tmp_path)
    features = CENTER(run)[0].values.numpy()
    judge = NearestNeighbors(n_neighbors=5, metric="cosine", algorithm="brute").fit(features)
    nearest = torch.from_numpy(judge.kneighbors(features)[1])
    assert torch.equal(mined.neighbours.long(), nearest if itself else nearest[:, 1:])
    (batch,) = run.loader.batches(0, 1)
    assert (nearest[batch.index] == batch.drawn[2]["partner"][:, None]).any(1).all()
    row = json.loads((tmp_path / "neighbours.jsonl").read_text())
    labels = torch.from_numpy(run.loader.source.labels)
    same = (labels[nearest[:, 1:]] == labels[:, None]).float().mean().item()
    assert row["same_class"] == pytest.approx(same) and row["count"] == 4


def test_a_source_without_labels_says_nothing_of_classes(tmp_path):
    begun(trainer(source=pictures(labels=False)), tmp_path)
    assert "same_class" not in json.loads((tmp_path / "neighbours.jsonl").read_text())


def test_a_resumed_run_keeps_its_neighbours(tmp_path):
    first = trainer()
    first.run(Folder(tmp_path / "run"))
    table = first.method.objectives[0].target.neighbours
    again = trainer(steps=7)
    again.restore(tmp_path / "run" / "checkpoints" / "step-00000006")
    again.run(Folder(tmp_path / "again"), 6)
    assert torch.equal(again.method.objectives[0].target.neighbours, table) and (table >= 0).all()
    assert again.loader.views[2].table.tolist() == table.tolist()
    assert not (tmp_path / "again" / "neighbours.jsonl").exists()


@pytest.mark.parametrize("graph", [True, False])
def test_both_pictures_learn_unless_told(graph, tmp_path):
    run = trainer(agree(target=target(targets.Predicted, graph=graph)))
    run.loader.pair(torch.arange(50).roll(1)[:, None].numpy())
    (batch,) = run.loader.batches(0, 1)
    for view in batch.views:
        view.requires_grad_()
    output = run.method.eval()(batch, 0)
    (pair,) = output.pairs["agree"]
    assert (pair.prediction.shape, pair.target.shape) == ((16, SETS, CLUSTERS),) * 2
    losses.Agreement()(pair.prediction, pair.target).mean().backward()
    assert batch.views[0].grad is None and batch.views[1].grad.abs().sum() > 0
    assert (batch.views[2].grad is not None and bool(batch.views[2].grad.abs().sum() > 0)) == graph


def test_the_anchors_alone_are_spread(tmp_path):
    run = trainer(agree(target=target(targets.Predicted)))
    run.loader.pair(torch.arange(50)[:, None].numpy())
    (batch,) = run.loader.batches(0, 1)
    for view in batch.views:
        view.requires_grad_()
    run.method.objectives[0].loss.weights = (0, -5)
    run.method.eval()(batch, 0).loss.backward()
    assert batch.views[1].grad.abs().sum() > 0 and not (
        batch.views[2].grad is not None and batch.views[2].grad.any()
    )


def asked_of(target, scores):
    return target(
        Asked(batch_of(index=torch.arange(len(scores))), 0, None, 0, predict=lambda name: scores)
    )


def by_probability(*rows):
    return torch.tensor(rows)[:, None].log()


def test_sure_labels_and_their_weights_by_hand():
    scores = by_probability(
        (0.995, 0.005), (0.999, 0.001), (0.992, 0.008), (0.002, 0.998), (0.6, 0.4)
    )
    made = asked_of(targets.Confident(None, 2), scores)
    assert made.values[:, 0].tolist() == [0, 0, 0, 1, -1]
    weights = torch.tensor([4 / 3, 4 / 3, 4 / 3, 4.0, 0])  # total over count; relative
    torch.testing.assert_close(made.weight[:, 0], weights / weights.mean())
    plain = asked_of(targets.Confident(None, 2, balance=False), scores)
    torch.testing.assert_close(plain.weight[:, 0], torch.tensor([1.25, 1.25, 1.25, 1.25, 0]))
    assert asked_of(targets.Confident(None, 2, threshold=0.994), scores).values[:, 0].tolist() == [
        0,
        0,
        -1,
        1,
        -1,
    ]


def test_heads_count_alike_and_one_that_is_never_sure_teaches_nothing():
    sure, unsure = torch.tensor([[9.0, 0], [9, 0], [0, 9]]), torch.zeros(3, 2)
    made = asked_of(targets.Confident(None, 2), torch.stack([sure, sure[[0, 2, 1]] * 2, unsure], 1))
    torch.testing.assert_close(made.weight.sum(0), torch.tensor([3.0, 3.0, 0.0]))
    assert (made.values[:, 2] == -1).all()


def test_the_loss_is_torchs_weighted_cross_entropy_of_what_is_sure(tmp_path):
    run = trainer(
        agree(target=target(targets.Predicted), weight=Steps((0.0,), ()), steps=6), label()
    )
    run.loader.pair(torch.arange(50)[:, None].numpy())
    (batch,) = run.loader.batches(0, 1)
    for view in batch.views:
        view.requires_grad_()
    head = run.method.objectives[0].predictor
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.mul_(30)
    encoder = run.method.eval().encoder
    weak, strong = (head(encoder(batch.views[k]), None, (1, 1)) for k in (0, 1))
    threshold = float(
        weak.detach().softmax(-1).amax(-1).median(0).values.min()
    )  # each head is sure of some
    run.method.objectives[1].target.threshold = threshold
    output = run.method(batch, 0)
    assert output.pairs.keys() == {"label"}  # the other one weighs 0
    theirs, labels = [], 0
    for number in range(SETS):
        most, ids = weak[:, number].softmax(-1).max(-1)
        sure = most > threshold
        labels += int(sure.sum())
        counts = ids[sure].bincount(minlength=CLUSTERS)
        weight = torch.where(counts > 0, counts.sum() / counts, torch.ones(()))  # as released
        theirs.append(F.cross_entropy(strong[sure, number], ids[sure], weight=weight))
    assert 0 < labels < 16 * SETS
    torch.testing.assert_close(output.loss, torch.stack(theirs).mean())
    output.loss.backward()
    assert batch.views[0].grad is None and batch.views[1].grad.abs().sum() > 0
    assert all(parameter.grad.abs().sum() > 0 for parameter in head.parameters())


def test_where_nothing_is_sure_nothing_is_learned(tmp_path):
    run = trainer(agree(target=target(targets.Predicted), weight=0.0), label(threshold=1.0))
    run.loader.pair(torch.arange(50)[:, None].numpy())
    (batch,) = run.loader.batches(0, 1)
    output = run.method(batch, 0)
    output.loss.backward()
    assert output.loss.item() == 0
    assert all(p.grad is None or not p.grad.any() for p in run.method.parameters())


def test_a_stage_is_a_weight_that_switches_on(tmp_path):
    first, second = Steps((1.0, 0.0), (3,)), Steps((0.0, 1.0), (3,))
    run = trainer(agree(weight=first, steps=6), label(weight=second, steps=6), log_every=1)
    run.run(Folder(tmp_path))
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert ["agree" in row for row in rows] == [True] * 3 + [False] * 3
    assert ["label" in row for row in rows] == [False] * 3 + [True] * 3
    assert (
        int(run.method.objectives[0].loss.steps) == 3
        and run.method.objectives[0].loss.best is not None
    )


def test_gauges_say_how_clusters_are_used():
    confident = targets.Confident(None, 4)
    found = confident.gauges(torch.zeros(4, 1, 4), torch.tensor([[0], [1], [-1], [-1]]))
    assert found["sure"].value == 0.5 and found["used"].value == pytest.approx(1)
    none = confident.gauges(torch.zeros(2, 1, 4), torch.full((2, 1), -1))
    assert none["sure"].value == 0 and not none["used"].sums.any()
    one = targets.Neighbours(None, CENTER, 4).gauges(
        torch.tensor([[[9.0, 0, 0, 0]]] * 8), torch.zeros(8, 1, 4)
    )
    assert one["used"].value == 0.25 and one["balance"].value < 0.1


def test_the_prediction_of_another_objective_may_be_the_target(tmp_path):
    mirror = Objective(
        target(targets.Predicted, of="agree", graph=False),
        "agree",
        losses.Agreement(),
        on="pooled",
        source=1,
        to=0,
        name="mirror",
    )
    run = trainer(agree(target=target(targets.Predicted)), mirror)
    run.loader.pair(torch.arange(50)[:, None].numpy())
    (batch,) = run.loader.batches(0, 1)
    method = run.method.eval()
    (pair,) = method(batch, 0).pairs["mirror"]
    wanted = method.objectives[0].predictor(method.encoder(batch.views[0]), None, (1, 1))
    torch.testing.assert_close(pair.target, wanted)
    assert not pair.target.requires_grad
