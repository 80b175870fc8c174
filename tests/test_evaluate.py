"""Probes read a class token, a layer, or a method's own head; what cannot be is refused at once."""

import json

import numpy as np
import pytest
import torch

from pymim import config, losses, predictors, probes, targets, views
from pymim.encoders import ResNet, ViT
from pymim.errors import ConfigError
from pymim.evaluate import Evaluation
from pymim.io import Folder
from pymim.method import Method
from pymim.objective import Objective
from pymim.run import main
from pymim.tables import evaluated
from pymim.world import World

IMAGES, LABELS = (
    torch.rand(12, 3, 8, 8, generator=torch.Generator().manual_seed(0)),
    torch.arange(12) % 3,
)


def make_vit(**options):
    torch.manual_seed(0)
    return ViT(16, 3, 2, image=8, patch=4, **options)


class Seen:
    """A probe that keeps what it is shown."""

    name = "seen"

    def __init__(self, takes="pooled"):
        self.takes = takes

    def __call__(self, train, labels, test, truth, **more):
        self.shown, self.more = train, more
        return 0.5


def shown(encoder, takes="pooled", head=None, **options):
    probe = Seen(takes)
    evaluation = Evaluation("digits", views.Center(8), [probe], batch=5, **options)
    found = evaluation.probe(encoder, [(IMAGES, LABELS)] * 2, head=head)
    return probe.shown if found else None


@pytest.mark.parametrize("layer", [None, 1, 2])
@pytest.mark.parametrize("pool", ["mean", "class", "encoder"])
def test_pool_chooses_the_vector_of_an_image(pool, layer):
    encoder = make_vit(taps=(1, 2)).eval()
    features = encoder(IMAGES)
    prefix, tokens = features.prefix, features.tokens
    if layer is not None:
        prefix, tokens = features.taps[layer][:, :1], features.taps[layer][:, 1:]
    last = features.pooled if layer is None else tokens.mean(1)
    wanted = {"mean": tokens.mean(1), "class": prefix[:, 0], "encoder": last}[pool]
    torch.testing.assert_close(
        shown(encoder, pool=pool, layer=layer), wanted, atol=0.05, rtol=0.05
    )  # in bfloat16
    torch.testing.assert_close(
        shown(encoder, "tokens", pool=pool, layer=layer).float(), tokens, atol=0.05, rtol=0.05
    )


class Run:
    """What an evaluation asks of a run."""

    def __init__(self, encoder, objectives=()):
        self.encoder, self.untrained = encoder, encoder
        self.method = Method(encoder, objectives) if objectives else None
        self.world = World.current()


def pooled(name="", **options):
    target = lambda encoder: targets.Epochwise(encoder, None, clusters=4)  # noqa: E731
    return Objective(
        target, predictors.Pooled, losses.CrossEntropy(), on="pooled", name=name, **options
    )


def pixels():
    return Objective(targets.Pixels, predictors.OneLayer, losses.MSE(), on="all")


def test_a_missing_vector_is_refused_before_training():
    def refused(run, message, **options):
        evaluation = Evaluation("digits", views.Center(8), options.pop("probes", None), **options)
        with pytest.raises(ConfigError, match=message):
            evaluation.before_run(run)

    registers = make_vit(class_token=False, registers=2, pool="mean")
    for encoder in (registers, ResNet((1, 1), dim=8, stem="small", image=8)):
        refused(
            Run(encoder),
            "pool: expected an encoder with a class token for 'class', .*ViT.class_token",
            pool="class",
        )
    refused(
        Run(make_vit()),
        r"layer: expected one of the encoder's taps \(none\), got 2; set ViT.taps = \(2",
        layer=2,
    )
    refused(Run(make_vit(taps=(1,))), r"taps \(1\), got 2; set ViT.taps = \(1, 2,\)", layer=2)
    heads = {"probes": [probes.Assigned()]}
    refused(
        Run(make_vit(), [pixels()]),
        "head: expected an objective on pooled images, .* pixels on 'all'",
        **heads,
    )
    refused(
        Run(make_vit(), [pooled("a")]),
        "head: expected one of the objectives a, got 'b'",
        head="b",
        **heads,
    )
    Evaluation("digits", views.Center(8), layer=1, pool="class").before_run(
        Run(make_vit(taps=(1,)))
    )
    Evaluation("digits", views.Center(8), [probes.Assigned()]).before_run(
        Run(make_vit(), [pooled()])
    )
    with pytest.raises(
        ValueError,
        match="Evaluation: pool: expected one of mean, class, encoder, predictor, got 'max'",
    ):
        Evaluation("digits", views.Center(8), pool="max")


def test_scores_come_from_the_named_head():
    encoder = make_vit(taps=(1,)).eval()
    run = Run(encoder, [pooled("first"), pooled("second", tap=1)])
    for number, name in enumerate(("", "second")):
        evaluation = Evaluation("digits", views.Center(8), [Seen("scores")], batch=5, head=name)
        scores = shown(encoder, "scores", head=evaluation._head(run))
        features = encoder(IMAGES).at(1 if number else None)
        wanted = run.method.objectives[number].predictor(features, None, (2, 2))
        assert scores.shape == (12, 1, 4)
        torch.testing.assert_close(scores, wanted, atol=0.05, rtol=0.05)
    assert shown(encoder, "scores") is None  # as of the untrained encoder, whose head is not kept


def test_the_head_that_the_loss_chose_is_measured_and_named(tmp_path, monkeypatch):
    probe, objective = Seen("scores"), pooled()
    objective.loss.best = 3
    run = Run(make_vit(), [objective])
    evaluation = Evaluation("digits", views.Center(8), [probe], test_images=20, train_images=20)
    evaluation(run, Folder(tmp_path), 7)
    assert probe.more == {"chosen": 3}
    written = json.loads((tmp_path / "evaluation" / "step-00000007.json").read_text())
    assert written["seen"] == 0.5
    assert json.loads((tmp_path / "evaluation" / "head-00000007.json").read_text()) == {
        "step": 7,
        "chosen": 3,
    }
    assert written["baselines"] == {"untrained": {}, "pixels": {}}


def test_long_names_keep_their_columns():
    lines = evaluated(
        {"knn": 0.5, "assigned_train": 0.25}, {"pixels": {"knn": 1.0}}, 3
    ).splitlines()
    assert lines[0].split() == ["knn", "assigned_train"] and lines[1].split() == [
        "step",
        "3",
        "50.0%",
        "25.0%",
    ]
    assert lines[2].split() == ["pixels", "100.0%", "-"] and len({*map(len, lines)}) == 1


def test_one_binding_reads_another_vector(tmp_path, capsys):
    tiny = ["DIM=16", "DEPTH=2", "HEADS=2", "BATCH=8", "STEPS=1", "Trainer.draw=None"]
    tiny += ["Transformer.dim=16", "Transformer.depth=1", "Transformer.heads=2"]
    quick = [
        "Evaluation.train_images=20",
        "Evaluation.test_images=10",
        "Evaluation.probes=(@probes.KNN(),)",
    ]
    words = config.flags(
        ["gin/mae.gin", *tiny, *quick, "Evaluation.pool='class'", "Evaluation.layer=1"]
    )
    assert main([*words, "--workdir", str(tmp_path / "refused")]) == 2
    assert "set ViT.taps = (1,)" in capsys.readouterr().err
    assert main([*words, "-b", "encoders.ViT.taps=(1,)", "--workdir", str(tmp_path / "run")]) == 0
    (result,) = (tmp_path / "run" / "evaluation").glob("step-*.json")
    assert np.isfinite(json.loads(result.read_text())["knn"])
