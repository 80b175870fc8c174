"""gin/hpm.gin as a run: its defaults; it resumes and runs in several processes like any other."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pymim import config
from pymim.encoders import Momentum
from pymim.run import main
from tests.launch import BARE, in_two_processes
from tests.test_run import QUICK, SMALL

RUN = [*SMALL, "EPOCHS=3", "masks.Ranked.ratio=0.5"]


def command(folder, *more, seen=(*BARE, "train.Trainer.log_every=1", "train.Trainer.save_every=2")):
    return [*config.flags(["gin/hpm.gin", *RUN, *seen]), "--workdir", str(folder), *more]


def weights(folder, step=6):
    (path,) = (folder / "checkpoints" / f"step-{step:08d}").glob("*.safetensors")
    return load_file(path)


def losses(folder):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [[row[name] for name in ("loss", "pixels", "ranker")] for row in rows]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mined") / "whole"
    assert main(command(folder, seen=QUICK)) == 0
    return folder


def test_both_terms_are_logged_and_add_up(finished):
    assert len(losses(finished)) == 6
    for total, pixels, ranker in losses(finished):
        assert total == pytest.approx(pixels + ranker, rel=1e-4)


def test_copies_are_saved_and_what_is_shared_is_saved_once(finished):
    saved = weights(finished)
    assert "method.ranker.teacher.module.cls_token" in saved
    assert "method.ranker.judge.module.embed.weight" in saved
    shared = [
        name
        for name in saved
        if name.endswith("predictor.embed.weight") and name.startswith("method.")
    ]
    assert shared == ["method.objectives.0.predictor.embed.weight"]
    theirs, own = (
        saved[f"method.{part}.cls_token"] for part in ("ranker.teacher.module", "encoder")
    )
    assert not torch.equal(theirs, own)
    assert not [
        name
        for name in saved
        if name.startswith("optimizer.") and ("teacher" in name or "judge" in name)
    ]


@pytest.fixture(scope="module")
def every_step(tmp_path_factory):
    """The checkpoints of the same run after each step."""
    folder = tmp_path_factory.mktemp("again") / "whole"
    assert main(command(folder, "-b", "Trainer.save_every=1", "-b", "Trainer.keep=6")) == 0
    return folder / "checkpoints"


@pytest.mark.parametrize(
    "step", [2, 3]
)  # at the end of an epoch, where the released resume skips one, and within
def test_a_resumed_run_has_the_same_masks_shares_and_copies(step, finished, every_step, tmp_path):
    folder = tmp_path / "resumed"
    assert main(command(folder, "--resume", str(every_step / f"step-{step:08d}"))) == 0
    for name, value in weights(finished).items():
        assert torch.equal(value, weights(folder)[name]), name
    assert losses(folder) == losses(finished)[step:]


def test_copies_follow_once_a_step_whatever_the_pieces(tmp_path, monkeypatch):
    updates, update = [], Momentum.update
    monkeypatch.setattr(
        Momentum, "update", lambda self, *args: updates.append(id(self)) or update(self, *args)
    )
    assert main(command(tmp_path / "pieces", "-b", "train.Trainer.micro=4")) == 0
    assert len(set(updates)) == 2  # of the encoder and of its ranker
    assert len(updates) == 2 * (1 + 6)  # as the run begins, too


def test_two_processes_mine_the_same_run(tmp_path):
    """In float32, where the order of scores does not hang on which rows a product was made with."""
    exact = config.flags(["Trainer.precision='float32'"])
    assert main(command(tmp_path / "one", *exact)) == 0
    folder = tmp_path / "two"
    in_two_processes(command(folder, *exact))
    np.testing.assert_allclose(losses(folder), losses(tmp_path / "one"), rtol=2e-5)


def test_default_values():
    config.load(["gin/hpm.gin"])
    assert config.value("targets.Pixels", "normalise", None) == "none"
    assert config.value("train.Trainer", "clip", None) == 5.0
    method = config.build("train.Trainer", "method")
    assert method.ranker.compare.epsilon == 0
    assert [round(method.mask.hard(step, 2000), 4) for step in (0, 1000, 1999)] == [
        0.0025,
        0.2525,
        0.5,
    ]
    assert method.mask.hide == "highest"
    assert method.ranker.teacher.steps == 2000


def test_schedules_of_the_recipe():
    tiny = [
        "DIM=24",
        "DEPTH=1",
        "HEADS=2",
        "predictors.Transformer.dim=24",
        "predictors.Transformer.depth=1",
    ]
    config.load(["gin/recipe/hpm.gin"], [*tiny, "predictors.Transformer.heads=2"])
    method = config.build("train.Trainer", "method")
    steps = 125_000
    for epoch, momentum in ((0, 0.999), (50, 0.99945), (100, 0.9999), (199, 0.9999)):
        for step in (625 * epoch, 625 * epoch + 624):
            assert method.ranker.teacher.momentum(step, steps) == pytest.approx(momentum, abs=1e-9)
            assert method.mask.hard(step, steps) == pytest.approx(0.5 * (epoch + 1) / 200)


def test_one_binding_leaves_out_the_momentum_copy():
    config.load(["gin/hpm.gin"], ["rankers.PredictedLoss.momentum=None"])
    method = config.build("train.Trainer", "method")
    assert method.ranker.teacher is None
    assert not [
        name for name, parameter in method.named_parameters() if not parameter.requires_grad
    ]
