"""The bank: what is remembered, how it is clustered, and that centroids are not learned."""

import functools

import pytest
import torch

from pymim import clusters, encoders, predictors, targets
from pymim.contracts import Batch, Branch, Features, Output, Source
from tests.targets.runs import make_encoder, started, trainer

UNIT = functools.partial(
    targets.Bank, survey=clusters.Survey(batch=16), clusters=5, sets=3, crops=2
)


@pytest.fixture(autouse=True)
def _told(monkeypatch):
    """`target.told`: the centroids that were found."""
    original = targets.Bank.recluster

    def recluster(self, context, seed):
        found = original(self, context, seed)
        self.told = [clustering.centroids for clustering in found]
        return found

    monkeypatch.setattr(targets.Bank, "recluster", recluster)


def make(**options):
    trunk = make_encoder().trunk
    encoder = encoders.Projected(trunk, (6,), unit=True)
    target = functools.partial(UNIT, **options)
    predictor = functools.partial(predictors.Centroids, sets=options.get("sets", 3))
    return trainer(target=target, predictor=predictor, encoder=encoder, crops=2)


def test_it_begins_with_a_survey_through_the_training_views(tmp_path):
    run = make()
    bank = started(run, tmp_path).target.bank
    first, second = clusters.Survey(batch=16)(run)
    assert torch.equal(bank[0], first.values) and torch.equal(bank[1], second.values)
    torch.testing.assert_close(bank.norm(dim=2), torch.ones(2, 50))


def test_training_writes_what_it_made_of_each_picture(tmp_path):
    run = make()
    target = started(run, tmp_path).target
    before, batch = target.bank.clone(), next(run.loader.batches(0, 1))
    output = run.method(batch, 0)
    run.method.after_forward(batch, output)
    for view in (0, 1):
        assert torch.equal(target.bank[view, batch.index], output.branches[view, 0].features.pooled)
    others = torch.ones(50, dtype=torch.bool)
    others[batch.index] = False
    assert torch.equal(target.bank[:, others], before[:, others])
    assert not target.bank.requires_grad


def test_set_s_clusters_view_s_modulo_views_by_cosine(tmp_path):
    target = started(make(), tmp_path).target
    for number in range(3):
        scores = target.bank[number % 2] @ target.told[number].T
        assert torch.equal(target.labels[number], scores.argmax(1))
        torch.testing.assert_close(
            target.distances[number], 1 - scores.amax(1), rtol=1e-4, atol=1e-6
        )


def test_centroids_are_unit_rows_of_the_predictor_and_no_parameters(tmp_path):
    run = make()
    objective = started(run, tmp_path)
    centroids = objective.predictor.centroids
    assert torch.equal(centroids, torch.stack(objective.target.told))
    torch.testing.assert_close(centroids.norm(dim=2), torch.ones(3, 5))
    assert not list(objective.predictor.parameters())
    learned = {id(p) for part in run.stepper.param_groups for p in part["params"]}
    assert learned == {id(p) for p in run.method.encoder.parameters()}


def test_losses_are_of_every_crop_and_set(tmp_path):
    run = make()
    objective = started(run, tmp_path)
    batch = next(run.loader.batches(0, 1))
    out = run.method(batch, 0)
    scores = [
        out.branches[view, 0].features.pooled @ objective.predictor.centroids.mT for view in (0, 1)
    ]
    expected = torch.cat([score.transpose(0, 1) for score in scores], 1)
    torch.testing.assert_close(out.predictions["bank"], expected)
    labels = objective.target.labels[:, batch.index].T
    assert torch.equal(out.targets["bank"], torch.cat([labels, labels], 1))
    out.loss.backward()
    assert all(p.grad is not None for p in run.method.encoder.parameters())


def test_the_next_labels_are_of_what_training_wrote(tmp_path):
    run = make()
    target = started(run, tmp_path).target
    surveyed = target.labels.clone()
    written = torch.nn.functional.normalize(
        torch.randn(2, 50, 6, generator=torch.Generator().manual_seed(7)), dim=2
    )
    for index in torch.arange(50).split(16):
        batch = Batch([torch.zeros(len(index), 3, 16, 16)] * 2, index, index)
        features = [Features(None, None, {}, rows[index]) for rows in written]
        sources = [Source(view) for view in range(len(features))]
        seen = zip(sources, features, strict=True)
        branches = {s: Branch(s, None, None, None, (1, 1), None, None, found) for s, found in seen}
        run.method.after_forward(batch, Output(torch.zeros(()), {}, {}, branches))
    run.step = run.loader.steps_per_epoch
    run.method.before_epoch(run)
    for number in range(3):
        scores = written[number % 2] @ target.told[number].T
        assert torch.equal(target.labels[number], scores.argmax(1))
    assert not torch.equal(target.labels, surveyed)


def test_a_cluster_without_pictures_keeps_its_centroid(tmp_path):
    """With more clusters than pictures some start at one picture: the lowest takes it, the others
    stay.
    """
    run = make(clusters=70, sets=1)
    target = started(run, tmp_path).target
    assert target.told[0].isfinite().all()
    torch.testing.assert_close(target.told[0].norm(dim=1), torch.ones(70))
    empty = target.labels[0].bincount(minlength=70) == 0
    assert empty.sum() >= 20
    start = torch.nn.functional.normalize(target.bank[0], dim=1)
    nearest = target.told[0][empty] @ start.T
    torch.testing.assert_close(nearest.amax(1), torch.ones(int(empty.sum())))
