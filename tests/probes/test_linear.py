"""The linear probe on real features, beside scikit-learn's logistic regression."""

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch.nn.functional import avg_pool2d

from pymim import data, views
from pymim.encoders import ViT
from pymim.errors import ConfigError, Diverged
from pymim.evaluate import Evaluation
from pymim.probes import Linear
from pymim.probes.knn import standardise
from pymim.probes.linear import held_out
from pymim.probes.reading import Reading

FEATURES = ("pixels", "encoder")


@pytest.fixture(scope="module")
def embedded():
    """Give coarse pixels of the digits [N 192], and an untrained encoder's features [N 64]."""
    splits = [
        data.load(data.open("digits", split=split), views.Center(32, 1), count)
        for split, count in (("train", 600), ("test", 1000))
    ]
    torch.manual_seed(0)
    encoder = ViT(64, 2, 2, image=32, patch=8)
    read = [Reading().all(encoder, images, {"pooled"}, 250)["pooled"] for images, _ in splits]
    sides = {"pixels": [avg_pool2d(images, 4).flatten(1) for images, _ in splits], "encoder": read}
    return {
        name: (train, splits[0][1], test, splits[1][1]) for name, (train, test) in sides.items()
    }


def theirs(train, labels, test, truth, strength):
    train, test = standardise(train, test)
    model = LogisticRegression(C=1 / (strength * len(train)), max_iter=20_000, tol=1e-6)
    return model.fit(train.double().numpy(), labels.numpy()).score(
        test.double().numpy(), truth.numpy()
    )


@pytest.mark.parametrize("strength", [1.0, 1e-1, 1e-2, 1e-3, 1e-4])
@pytest.mark.parametrize("features", FEATURES)
def test_equals_scikit_learn_to_a_fifth_of_a_point(features, strength, embedded):
    probe = Linear(strengths=(strength,))
    assert probe(*embedded[features]) == pytest.approx(
        theirs(*embedded[features], strength), abs=0.002
    )
    assert probe.findings() == []


@pytest.mark.parametrize("features", FEATURES)
def test_the_strength_is_the_best_of_a_held_out_share(features, embedded):
    train, labels, *_ = embedded[features]
    train, held, probe = (
        standardise(train, train)[0],
        held_out(labels),
        Linear(strengths=(1, 1e-2, 1e-4)),
    )
    probe(*embedded[features])
    raw = lambda rows: (train[rows].double().numpy(), labels[rows].numpy())  # noqa: E731
    scores = {
        strength: LogisticRegression(
            C=1 / (strength * int((~held).sum())), max_iter=20_000, tol=1e-6
        )
        .fit(*raw(~held))
        .score(*raw(held))
        for strength in probe.strengths
    }
    assert scores[probe.strength] == pytest.approx(max(scores.values()), abs=1.5 / int(held.sum()))


def tried(monkeypatch, scores, strengths=(1.0, 0.1, 0.01, 1e-3, 1e-4, 1e-5)):
    """The probe and the strengths that it tries, where held-out rows give these scores."""
    seen, given = [], iter(scores)
    real = Linear._fit
    monkeypatch.setattr(
        Linear,
        "_fit",
        lambda self, x, y, s, *more, **named: seen.append(s) or real(self, x, y, s, *more, **named),
    )
    monkeypatch.setattr("pymim.probes.linear.accuracy", lambda *_: next(given, 0.0))
    probe = Linear(strengths)
    x, y = torch.randn(40, 4, generator=torch.Generator().manual_seed(0)), torch.arange(40) % 2
    probe(x, y, x, y)
    return probe, seen


ENDS = [
    ([0.5, 0.6, 0.5, 0.4], 0.1, 4, None),
    (
        [0.5, 0.6, 0.5, 0.6, 0.5, 0.5],
        0.1,
        6,
        None,
    ),  # of equal accuracies the strongest is taken; an equal one is no fall
    ([0.5, 0.4, 0.6, 0.5, 0.7, 0.6], 1e-4, 6, None),
    (
        [0.7, 0.6, 0.5],
        1.0,
        3,
        "the best strength, 1, is the strongest that was tried: a stronger one may be better",
    ),
    (
        [0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
        1e-5,
        6,
        "the best strength, 1e-05, is the weakest that was tried: a weaker one",
    ),
    ([1.0, 0.6, 0.5], 1.0, 3, None),  # nothing is better than all
]


@pytest.mark.parametrize(("scores", "chosen", "count", "said"), ENDS)
def test_two_falls_end_the_search_and_an_end_is_said(scores, chosen, count, said, monkeypatch):
    probe, seen = tried(monkeypatch, scores)
    assert probe.strength == chosen and seen == [
        *sorted(probe.strengths, reverse=True)[:count],
        chosen,
    ]
    assert (
        [finding[: len(said)] for finding in probe.findings()] == [said]
        if said
        else not probe.findings()
    )


def test_says_that_the_tolerance_was_not_reached(embedded, capsys):
    probe = Linear(strengths=(1e-4,), iterations=3)
    probe(*embedded["pixels"])
    assert probe.findings() == [
        "did not converge to 1e-05 in 3 iterations: raise probes.Linear.iterations"
    ]
    evaluation = Evaluation("digits", views.Center(8), [probe])
    images, labels = (
        torch.rand(60, 3, 8, 8, generator=torch.Generator().manual_seed(0)),
        torch.arange(60) % 3,
    )
    splits = [(images, labels)] * 2
    evaluation.probe(ViT(16, 1, 2, image=8, patch=4), splits, row="untrained")
    evaluation.probing.pixels(splits)
    end = ": did not converge to 1e-05 in 3 iterations: raise probes.Linear.iterations"
    assert capsys.readouterr().err.splitlines() == [
        f"evaluation: linear of {row}{end}" for row in ("untrained", "pixels")
    ]


def test_an_answer_does_not_depend_on_the_one_before(embedded):
    fresh, used = Linear(), Linear(iterations=1000)
    used(*embedded["pixels"])
    assert (
        fresh(*embedded["encoder"]) == used(*embedded["encoder"])
        and fresh.findings() == used.findings()
    )


def test_features_that_are_not_finite_are_refused(embedded):
    train, *rest = embedded["encoder"]
    with pytest.raises(
        Diverged, match="Linear: train: expected finite features, got NaN or infinity; "
    ):
        Linear()(train / 0, *rest)
    with pytest.raises(ConfigError, match="Linear: strengths: expected a number above 0, got 0"):
        Linear(strengths=(0.0, 1.0))
