"""Resuming from the newest complete or a named checkpoint, with a report of what has changed."""

import json
import shutil
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from pymim import resume
from pymim.io import checkpoint
from pymim.io.metrics import read
from pymim.run import main
from pymim.train import Trainer
from tests.io.test_damage import DAMAGES
from tests.launch import in_two_processes
from tests.test_run import bare


def command(folder, *more):
    return bare(folder, "-b", "WORKERS=0", "-b", "train.Trainer.keep=4", *more)


def checkpoints(folder):
    return [int(path.name[-8:]) for path in checkpoint.begun(folder / "checkpoints")]


def weights(folder, step):
    return load_file(folder / f"checkpoints/step-{step:08d}/state.safetensors")


def assert_same(first, second):
    assert first.keys() == second.keys()
    assert not [name for name in first if not torch.equal(first[name], second[name])]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of six steps that keeps steps 2, 4 and 6."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert main(command(folder)) == 0
    return folder


@pytest.fixture
def run(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


def test_an_earlier_checkpoint_begins_a_branch_that_everything_takes(run, whole, capsys):
    """Its bits of step 5, not the old branch's of step 6, are resumed, evaluated and exported."""
    early = run / "checkpoints/step-00000002"
    (run / "evaluation").mkdir()
    (run / "evaluation/step-00000006.json").write_text("{}")
    assert (
        main(
            command(
                run, "--resume", str(early), "-b", "STEPS=5", "-b", "train.Trainer.save_every=1"
            )
        )
        == 0
    )
    said = capsys.readouterr().err
    assert (
        f"resume: continues from step 2; later steps are set aside in {run / 'aside'} until" in said
    )
    assert (
        "checkpoints/step-00000004, checkpoints/step-00000006, evaluation/step-00000006.json, "
        "4 rows of m" in said
    )
    assert checkpoints(run) == [2, 3, 4, 5] and checkpoints(run / "aside") == [6]
    assert [row["step"] for row in read(run / "metrics.jsonl")] == [1, 2, 3, 4, 5]
    assert not list((run / "evaluation").iterdir())
    assert main(["export", str(run), "--to", str(run / "export")]) == 0
    branch, exported = weights(run, 5), load_file(run / "export/model.safetensors")
    name = "blocks.0.attn.qkv.weight"
    assert torch.equal(exported[name], branch[f"method.encoder.{name}"])
    assert not torch.equal(exported[name], weights(whole, 6)[f"method.encoder.{name}"])
    assert main(command(run, "--resume", "auto")) == 0
    assert checkpoints(run) == [3, 4, 5, 6] and not (run / "aside").exists()


def test_a_checkpoint_of_another_run_survives_a_kill_before_the_first_save(whole, tmp_path):
    """A run killed before its first save continues from the named checkpoint, not from step 0."""
    first = whole / "checkpoints/step-00000004"
    assert main(command(tmp_path / "run", "--resume", str(first), "-b", "STEPS=4")) == 0
    assert checkpoints(tmp_path / "run") == [4]
    assert main(command(tmp_path / "run", "--resume", "auto")) == 0
    assert_same(weights(tmp_path / "run", 6), weights(whole, 6))


@pytest.mark.parametrize("what", ["flipped", "missing", "meta empty"])
def test_a_damaged_checkpoint_costs_its_steps_only(what, run, whole, capsys, caplog):
    name, damage, said = DAMAGES[what]
    damage(run / "checkpoints/step-00000006" / name)
    assert main(["export", str(run), "--to", str(run / "export")]) == 0
    exported = load_file(run / "export/model.safetensors")["norm.weight"]
    assert torch.equal(exported, weights(whole, 4)["method.encoder.norm.weight"])
    assert main(command(run, "--resume", str(run / "checkpoints/step-00000006"))) == 2
    printed = capsys.readouterr().err.splitlines()[-1]
    assert (
        printed.startswith(f"pymim: {run / 'checkpoints/step-00000006' / name}: ")
        and said in printed
    )
    caplog.clear()
    assert main(command(run, "--resume", "auto")) == 0
    assert said in caplog.text and "the checkpoint before it is tried" in caplog.text
    assert_same(weights(run, 6), weights(whole, 6))


def test_without_a_complete_checkpoint_nothing_starts_again(run, capsys):
    for path in checkpoint.begun(run / "checkpoints"):
        (path / "meta.json").unlink()
    before = (run / "metrics.jsonl").read_bytes()
    for words in (
        command(run, "--resume", "auto"),
        ["export", str(run), "--to", str(run / "export")],
    ):
        assert main(words) == 2
        assert "holds no complete checkpoint; the newest of 3: " in capsys.readouterr().err
    assert (run / "metrics.jsonl").read_bytes() == before


SAVED = {"seed": 0, "batch": 8, "world": 1}


@pytest.mark.parametrize(
    ("config", "seed", "batch", "size", "norm", "said"),
    [
        ("DATA = 'digits'\nSEED = 0\n", 0, 8, 1, False, []),
        (
            "DATA = 'x.npy'\n",
            0,
            8,
            1,
            False,
            ["DATA was 'digits' and is 'x.npy' now: the run will end differently"],
        ),
        (
            "DATA = 'digits'\n",
            1,
            16,
            1,
            False,
            ["SEED was 0 and is 1 now: the run", "BATCH was 8 and is 16 now: the run"],
        ),
        (
            "DATA = 'digits'\n",
            0,
            8,
            2,
            False,
            ["processes were 1 and are 2 now: the same steps up to rounding"],
        ),
        (
            "DATA = 'digits'\n",
            0,
            8,
            2,
            True,
            ["batch norms on CPUs see a process's share of the batch"],
        ),
    ],
)
def test_what_changes_the_result_is_named(config, seed, batch, size, norm, said, tmp_path):
    path = tmp_path / "checkpoints/step-00000002"
    path.mkdir(parents=True)
    (path / "meta.json").write_text(json.dumps({"step": 2, **SAVED}))
    before = "DATA = 'digits'\nSEED = 0\n"
    world = SimpleNamespace(size=size, device=torch.device("cpu"))
    method = nn.Sequential(nn.BatchNorm1d(3) if norm else nn.LayerNorm(3))
    trainer = SimpleNamespace(seed=seed, batch=batch, world=world, method=method)
    found = resume.differences(trainer, path, before, config)
    assert len(found) == len(said)
    assert all(words in line for words, line in zip(said, found, strict=True))


def test_what_changes_the_result_is_named_before_the_configuration(run, capsys):
    early = run / "checkpoints/step-00000004"
    assert main(command(run, "--resume", str(early), "-b", "SEED=3")) == 0
    printed = capsys.readouterr().err.splitlines()
    assert printed[0] == "resume: SEED was 0 and is 3 now: the run will end differently"
    assert any(line.startswith("config: ") for line in printed[1:])


def test_two_processes_resume_a_run_of_one_up_to_rounding(run, whole):
    early = run / "checkpoints/step-00000002"
    in_two_processes(command(run, "--resume", str(early)))
    assert checkpoints(run) == [2, 4, 6] and not (run / "aside").exists()
    losses = [[row["loss"] for row in read(folder / "metrics.jsonl")] for folder in (run, whole)]
    torch.testing.assert_close(*(torch.tensor(each) for each in losses), rtol=2e-2, atol=0)


def test_a_second_start_is_refused_while_the_first_trains(tmp_path, capsys):
    folder = tmp_path / "run"
    words = [sys.executable, "-m", "pymim.run", *command(folder, "-b", "STEPS=100000")]
    first = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    try:
        for line in first.stderr:
            if line.startswith("step 1/"):
                break
        before = (folder / "config.gin").read_bytes()
        assert main(command(folder, "--resume", "auto")) == 2
        printed = capsys.readouterr().err
        assert f"got one used by process {first.pid} on " in printed and printed.count("\n") == 1
        assert (folder / "config.gin").read_bytes() == before
    finally:
        first.send_signal(signal.SIGTERM)
        first.communicate()
    assert first.returncode == 75 and not (folder / ".lock").exists()


def test_a_folder_deleted_during_the_run_ends_it_in_one_line(tmp_path, capsys, monkeypatch):
    folder, learn = tmp_path / "run", Trainer.learn

    def delete(trainer, forward, batch, step, folder):
        if step == 3:
            shutil.rmtree(folder.path)
        return learn(trainer, forward, batch, step, folder)

    monkeypatch.setattr(Trainer, "learn", delete)
    assert main(command(folder)) == 6
    printed = capsys.readouterr().err.splitlines()[-1]
    assert printed.startswith(
        f"pymim: {folder}/metrics.jsonl: is gone; was the run's folder deleted or renamed"
    )
    assert not folder.exists()
