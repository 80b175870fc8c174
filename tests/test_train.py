"""The loop without a command line: hooks, what a run offers them, and losses of some steps."""

import functools

import pytest
import torch

from pymim import data, encoders, losses, masks, predictors, targets, views
from pymim.contracts import Hooks, Run
from pymim.errors import ConfigError
from pymim.io import Folder
from pymim.io.export import export
from pymim.io.metrics import read
from pymim.method import Method
from pymim.objective import Objective
from pymim.optim import SGD
from pymim.schedule import Constant
from pymim.train import Trainer
from tests.launch import one_of_two
from tests.targets.runs import pictures

TINY = functools.partial(predictors.Transformer, dim=8, depth=1, heads=2)


def vit(seed=0, **options):
    torch.manual_seed(seed)
    return encoders.ViT(**{"dim": 8, "depth": 2, "heads": 2, "image": 16, "patch": 4} | options)


def pixels(target=targets.Pixels, **options):
    return Objective(target, TINY, losses.MSE(), **options)


def trainer(objectives=None, encoder=None, **options):
    """Of batches of 16, so of 3 steps an epoch of 50 pictures."""
    torch.manual_seed(0)
    method = Method(encoder or vit(), objectives or [pixels()], masks.Uniform(0.5))
    view = views.Pretrain(16, statistics="half")
    loader = functools.partial(data.Loader, options.pop("source", None) or pictures(), view)
    options = {
        "steps": 6,
        "batch": 16,
        "optimizer": SGD(Constant(0.1)),
        "precision": "float32",
    } | options
    return Trainer(method, loader, log_every=1, **options)


class Remembers(targets.Pixels, Hooks):
    """Writes down when it was called."""

    def __init__(self, encoder):
        super().__init__(encoder)
        self.calls = []

    def before_epoch(self, run: Run):
        self.calls.append(("epoch", run.step, float(torch.rand(()))))

    def before_step(self, run: Run):
        self.calls.append(("step", run.step, float(torch.rand(()))))

    def after_step(self, encoder, step):
        self.calls.append(("after", step))


def test_before_step_comes_after_before_epoch_and_before_the_step(tmp_path):
    run = trainer([pixels(Remembers)])
    run.run(Folder(tmp_path))
    calls = run.method.objectives[0].target.calls
    expected = [
        (name, step)
        for step in range(6)
        for name in (["epoch"] * (step % 3 == 0) + ["step", "after"])
    ]
    assert [call[:2] for call in calls] == expected
    draws = [call[2] for call in calls if len(call) > 2]
    assert len(set(draws)) == len(draws)


def test_what_is_drawn_before_a_step_is_the_same_after_a_resume(tmp_path):
    whole = trainer([pixels(Remembers)])
    whole.run(Folder(tmp_path / "whole"))
    late = trainer([pixels(Remembers)], save_every=2)
    late.run(Folder(tmp_path / "late"), 0)
    part = trainer([pixels(Remembers)])
    part.run(Folder(tmp_path / "part"), part.restore(tmp_path / "late/checkpoints/step-00000004"))
    found = part.method.objectives[0].target.calls
    assert found == [call for call in whole.method.objectives[0].target.calls if call[1] >= 4]


def test_a_report_is_a_row_of_its_step_and_a_resumed_run_reports_again(tmp_path, capsys):
    run = trainer()
    run.folder = Folder(tmp_path)
    for step in (3, 4, 4):
        run.step = step
        run.report("facts", size=step / 3, used=7)
    assert read(tmp_path / "facts.jsonl") == [{"step": s, "size": s / 3, "used": 7} for s in (3, 4)]
    assert "facts: size 1.333, used 7" in capsys.readouterr().err


def test_forgetting_drops_what_the_optimiser_remembers_and_no_more(tmp_path):
    run = trainer(steps=1)
    run.run(Folder(tmp_path))
    forgotten = list(run.method.objectives[0].predictor.parameters())
    run.forget(forgotten)
    assert not [p for p in forgotten if p in run.stepper.state]
    assert all(
        "momentum_buffer" in run.stepper.state[p] for p in run.method.encoder.blocks.parameters()
    )


def late_weight(step, steps):
    """The weight of an objective that begins at step 3."""
    return float(step >= 3)


def test_an_objective_may_rest_in_some_steps(tmp_path, capsys):
    """And a run that is resumed before the second begins equals one that went through."""
    both = [
        pixels(name="first"),
        pixels(targets.Pixels, weight=late_weight, steps=6, name="second"),
    ]
    whole = trainer(both, micro=8, save_every=2)
    whole.run(Folder(tmp_path))
    rows = read(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in rows if "second" in row] == [4, 5, 6]
    assert all(
        row["loss"] == pytest.approx(row["first"] + row.get("second", 0), rel=1e-5) for row in rows
    )
    assert "no loss reaches" not in capsys.readouterr().err
    again = trainer(
        [pixels(name="first"), pixels(targets.Pixels, weight=late_weight, steps=6, name="second")],
        micro=8,
    )
    (tmp_path / "checkpoints/step-00000004").rename(tmp_path / "at")
    again.run(Folder(tmp_path / "again"), again.restore(tmp_path / "at"))
    theirs = again.state.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in whole.state.state_dict().items())


def test_parameters_that_no_loss_reaches_are_named_once(tmp_path, capsys):
    run = trainer([pixels(tap=1)], vit(taps=(1,)), micro=8)
    run.run(Folder(tmp_path))
    printed = [line for line in capsys.readouterr().err.splitlines() if "no loss reaches" in line]
    assert len(printed) == 1 and printed[0].endswith(
        "encoder.norm.weight, encoder.norm.bias: these parameters will not change"
    )
    assert "encoder.blocks.1.norm1.weight" in printed[0] and "encoder.blocks.0" not in printed[0]


def tapped(rank, folder):
    with one_of_two(rank, folder):
        run = trainer(
            [pixels(tap=1), pixels(tap=1, weight=late_weight, steps=6, name="second")],
            vit(taps=(1,)),
            micro=4,
        )
        run.world = run.world.__class__(rank, 2, torch.device("cpu"))
        view = views.Pretrain(16, statistics="half")
        run.loader = data.Loader(pictures(), view, batch=16, rank=rank, world=2)
        run.run(Folder(folder / "two"))


def test_two_processes_train_where_parameters_and_objectives_rest(tmp_path):
    torch.multiprocessing.spawn(tapped, (tmp_path,), nprocs=2)
    one = trainer(
        [pixels(tap=1), pixels(tap=1, weight=late_weight, steps=6, name="second")], vit(taps=(1,))
    )
    one.run(Folder(tmp_path / "one"))
    rows = [read(tmp_path / name / "metrics.jsonl") for name in ("one", "two")]
    for first, second in zip(*rows, strict=True):
        assert second["loss"] == pytest.approx(first["loss"], rel=1e-5)
        assert ("second" in first) == ("second" in second) == (first["step"] > 3)


def test_copies_begin_from_the_start_as_the_encoder_does(tmp_path, capsys):
    export(vit(7), tmp_path / "start", [0.5] * 3, [0.5] * 3)
    tokens = functools.partial(
        targets.Tokens, teacher=functools.partial(encoders.Momentum, momentum=1.0)
    )
    run = trainer(
        [pixels(tokens)],
        steps=1,
        optimizer=SGD(Constant(0.0)),
        average=0.5,
        start=tmp_path / "start",
    )
    random = run.untrained.blocks[0].mlp.fc1.weight.clone()
    run.check()
    run.run(Folder(tmp_path / "run"))
    wanted = vit(7).state_dict()
    for encoder in (
        run.method.encoder,
        run.method.objectives[0].target.teacher.module,
        run.encoder,
    ):
        assert all(torch.equal(value, wanted[name]) for name, value in encoder.state_dict().items())
    assert torch.equal(run.untrained.blocks[0].mlp.fc1.weight, random), (
        "the baseline is the untrained encoder"
    )
    assert "tensors loaded" in capsys.readouterr().err


def test_the_start_is_not_applied_again(tmp_path):
    export(vit(7), tmp_path / "start", [0.5] * 3, [0.5] * 3)
    whole = trainer(steps=3, start=tmp_path / "start", save_every=2)
    whole.run(Folder(tmp_path / "run"))
    (tmp_path / "start/model.safetensors").unlink()
    again = trainer(steps=3, start=tmp_path / "start")
    again.check(resuming=True)
    again.run(Folder(tmp_path / "run"), again.restore(tmp_path / "run/checkpoints/step-00000002"))
    assert torch.equal(whole.method.encoder.cls_token, again.method.encoder.cls_token)
    with pytest.raises(
        ConfigError, match=r"start: expected a safetensors file, .* which is none of these"
    ):
        trainer(start=tmp_path / "start").check()
