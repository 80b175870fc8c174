"""Fine-tuning and probes on whole data sets run as the recipes say; settings are recorded."""

import json

import pytest
import torch

from pymim import data, tune, views
from pymim.data import Loader
from pymim.encoders import Momentum, ViT
from pymim.errors import ConfigError, DataError
from pymim.io import Folder
from pymim.optim import AdamW
from pymim.probes import Learning, Mixing, Readout
from pymim.schedule import Constant


def digits(split):
    return data.Digits(split, length=60)


def tuning(**options):
    center, loader = views.Center(32, statistics="half"), views.Pretrain(32, statistics="half")
    options = {
        "source": digits,
        "view": center,
        "batch": 12,
        "steps": 4,
        "test_images": 30,
    } | options
    options.setdefault("data", lambda **given: Loader(views=(loader,), **given))
    options.setdefault("learning", Learning(AdamW(Constant(1e-3), weight_decay=0.0)))
    return tune.Tuning(**options)


class Run:
    """What an evaluation asks of a trainer."""

    def __init__(self):
        torch.manual_seed(0)
        self.method = torch.nn.Module()
        self.method.encoder = ViT(16, 2, 2, image=32, patch=8)
        self.encoder = self.method.encoder


def result(folder, name="finetune"):
    return json.loads((folder / "evaluation" / f"{name}-step-00000007.json").read_text())


def saved(folder):
    (path,) = (folder / "finetune" / "checkpoints").iterdir()
    return path


def test_a_stopped_training_goes_on_to_the_same_weights(tmp_path, capfd, monkeypatch):
    learning = Learning(AdamW(Constant(1e-3)), mixing=Mixing(), average=0.5)
    for name in ("whole", "stopped"):
        (tmp_path / name).mkdir()
    whole, stopped = Folder(tmp_path / "whole"), Folder(tmp_path / "stopped")
    tuning(learning=learning, drop_path=0.2)(Run(), whole, 7)
    original = tune.Lesson.step

    def step(self, images, labels, number, steps):
        if number == 2:
            raise KeyboardInterrupt
        return original(self, images, labels, number, steps)

    monkeypatch.setattr(tune.Lesson, "step", step)
    with pytest.raises(KeyboardInterrupt):
        tuning(learning=learning, drop_path=0.2, save_every=0.2)(Run(), stopped, 7)
    monkeypatch.undo()
    assert saved(stopped.path).name == "step-00000002"
    tuning(learning=learning, drop_path=0.2, save_every=0.2)(Run(), stopped, 7)
    assert "has another encoder or other settings" not in capfd.readouterr().err
    states = [
        (saved(folder.path) / "state.safetensors").read_bytes() for folder in (whole, stopped)
    ]
    assert states[0] == states[1]
    assert result(whole.path)["top1"] == result(stopped.path)["top1"]


def test_a_state_saved_with_other_settings_is_not_resumed(tmp_path, capfd):
    folder = Folder(tmp_path)
    tuning()(Run(), folder, 7)
    tuning()(Run(), folder, 7)
    assert "finetune: continues from step 4" in capfd.readouterr().err
    tuning(learning=Learning(AdamW(Constant(2e-3))))(Run(), folder, 7)
    assert "has another encoder or other settings: starts again" in capfd.readouterr().err
    assert result(tmp_path)["settings"]["learning"]["optimizer"]["groups"][0]["rate"] == {
        "is": "Constant",
        "value": 2e-3,
    }


def test_accuracy_is_counted_one_by_one(tmp_path, monkeypatch):
    models, learn = [], tune.Tuning._learn
    monkeypatch.setattr(
        tune.Tuning, "_learn", lambda self, *given: models.append(learn(self, *given)) or models[0]
    )
    tuning(test_images=None)(Run(), Folder(tmp_path), 7)
    test = digits("test")
    right = five = 0
    for number in range(len(test)):
        image = views.Center(32, statistics="half")(test[number].image[None])
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            order = models[0](image).float()[0].argsort(descending=True).tolist()
        right += order[0] == test[number].label
        five += test[number].label in order[:5]
    found = result(tmp_path)
    assert found["tested"] == len(test)
    assert found["top1"] == pytest.approx(right / len(test), abs=1.01 / len(test))
    assert found["top5"] == pytest.approx(five / len(test), abs=1.01 / len(test))


def test_the_runs_encoder_stays_and_the_momentum_copy_can_be_tuned(tmp_path):
    run, found = Run(), {}
    run.method.teacher = Momentum(run.method.encoder, 0.5, 10)
    with torch.no_grad():
        for parameter in run.method.teacher.parameters():
            parameter.add_(1.0)
    before = [p.clone() for p in run.method.parameters()]
    for start in ("run", "momentum"):
        found[start] = tuning(start=start)._encoder(run)
        tuning(start=start, name=start)(run, Folder(tmp_path), 7)
    assert found["run"] is run.encoder and found["momentum"] is run.method.teacher.module
    assert all(map(torch.equal, before, run.method.parameters()))
    assert all(p.grad is None for p in run.method.parameters())
    with pytest.raises(
        ConfigError, match="Tuning: start: expected a method with a momentum copy of its encoder"
    ):
        tuning(start="momentum")(Run(), Folder(tmp_path), 7)


def test_a_linear_probe_learns(tmp_path):
    probe = tuning(
        frozen=True,
        name="linear",
        steps=200,
        source=lambda split: data.Digits("train", length=60),
        learning=Learning(AdamW(Constant(3e-2), weight_decay=0.0)),
        readout=Readout("class", norm="batch", std=0.01),
        data=lambda **given: Loader(views=(views.Center(32, statistics="half"),), **given),
    )
    probe(Run(), Folder(tmp_path), 7)
    assert result(tmp_path, "linear")["top1"] > 0.6  # it is tested on what it learnt


def unlabelled(split):
    source = digits(split)
    source.labels = source.labels * 0 - 1
    return source


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"source": unlabelled},
            DataError,
            "Tuning: source: expected labelled pictures in both splits, got: no pict",
        ),
        (
            {"start": "teacher"},
            ConfigError,
            "Tuning: start: expected one of run, momentum, got 'teacher'",
        ),
        ({"batch": 0}, ConfigError, "Tuning: batch: expected a whole number, 1 or more, got 0"),
        (
            {"readout": Readout("class", layers=3)},
            ConfigError,
            "Readout: layers: expected at most 2, the blocks of ViT",
        ),
    ],
)
def test_invalid_options_are_refused_before_the_training(options, error, message, tmp_path):
    with pytest.raises(error, match=message):
        tuning(**options).before_run(Run())
