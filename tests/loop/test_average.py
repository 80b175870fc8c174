"""The average of a run: the teacher of the method, evaluated and exported."""

import functools

import pytest
import torch
from safetensors.torch import load_file

from pymim import encoders, targets
from pymim.errors import ConfigError
from pymim.io import Folder, weights
from tests.test_train import pixels, trainer, vit


def followed(momentum=0.5):
    return functools.partial(
        targets.Tokens, teacher=functools.partial(encoders.Momentum, momentum=momentum)
    )


def test_the_teacher_may_be_evaluated_and_exported(tmp_path):
    run = trainer([pixels(followed())], average="teacher", save_every=2)
    folder, teacher = Folder(tmp_path / "run"), run.method.objectives[0].target.teacher.module
    assert run.encoder is teacher
    wanted = {name: value.clone() for name, value in run.method.encoder.state_dict().items()}
    forward = run.method.after_step

    def follow(step):  # a plain average beside it
        forward(step)
        for name, value in run.method.encoder.state_dict().items():
            wanted[name] = 0.5 * wanted[name] + 0.5 * value

    run.method.after_step = follow
    run.run(folder)
    exported = vit(9)
    fit = weights.load(exported, tmp_path / "run", whole=True)
    assert not fit.missing and all(
        there.startswith("average.module.") for there in fit.loaded.values()
    )
    for name, value in exported.state_dict().items():
        torch.testing.assert_close(value, wanted[name], atol=1e-6, rtol=1e-5)
        assert torch.equal(value, teacher.state_dict()[name])
    weight = "blocks.0.mlp.fc1.weight"
    assert not torch.equal(exported.state_dict()[weight], run.method.encoder.state_dict()[weight])
    names = load_file(tmp_path / "run/checkpoints/step-00000006/state.safetensors")
    kept = [
        name
        for name in names
        if name.endswith(weight) and not name.startswith(("optimizer", "method.obj"))
    ]
    assert sorted(kept) == [f"average.module.{weight}", f"method.encoder.{weight}"], "saved once"
    again = trainer([pixels(followed())], average="teacher")
    again.run(Folder(tmp_path / "again"), again.restore(tmp_path / "run/checkpoints/step-00000004"))
    for name, value in again.state.state_dict().items():
        assert torch.equal(value, run.state.state_dict()[name]), name


@pytest.mark.parametrize("average", ["teacher", "momentum"])
def test_a_missing_teacher_is_refused(average):
    message = {"teacher": "expected a method with a momentum copy", "momentum": "expected a share"}[
        average
    ]
    with pytest.raises(ConfigError, match=f"Trainer: average: {message}.*, got .*; "):
        trainer(average=average)
