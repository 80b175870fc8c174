"""The command, as a user types it, at the smallest size."""

import json
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pymim.config import flags
from pymim.io.metrics import read
from pymim.run import main
from tests.launch import BARE, by_torchrun

SMALL = [
    "DIM=16",
    "DEPTH=1",
    "HEADS=2",
    "BATCH=8",
    "STEPS=6",
    "Transformer.dim=16",
    "Transformer.depth=1",
    "Transformer.heads=2",
]
QUICK = [
    "evaluate.Evaluation.train_images=40",
    "evaluate.Evaluation.test_images=20",
    "draw.Pictures.images=4",
    "probes.Linear.iterations=3",
    "probes.FineTune.steps=2",
    "train.Trainer.log_every=1",
    "train.Trainer.save_every=2",
]


def command(folder, *more):
    return [*flags(["gin/mae.gin", *SMALL, *QUICK]), "--workdir", str(folder), *more]


def bare(folder, *more):
    """The same training, not looked at."""
    seen = ["train.Trainer.log_every=1", "train.Trainer.save_every=2"]
    return [*flags(["gin/mae.gin", *SMALL, *BARE, *seen]), "--workdir", str(folder), *more]


def weights(folder, step=6):
    (path,) = (folder / "checkpoints" / f"step-{step:08d}").glob("*.safetensors")
    return load_file(path)


def assert_same_losses(*folders):
    first, second = ([row["loss"] for row in read(folder / "metrics.jsonl")] for folder in folders)
    np.testing.assert_allclose(second, first, rtol=2e-2)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert main(command(folder)) == 0
    return folder


def test_a_run_leaves_everything_in_its_folder(finished):
    names = {str(path.relative_to(finished)) for path in finished.rglob("*") if path.is_file()}
    expected = {
        "config.gin",
        "operative_config.gin",
        "env.json",
        "metrics.jsonl",
        "status.json",
        "evaluation/baselines.json",
        "evaluation/step-00000006.json",
        "pictures/curves.png",
        "pictures/features-00000006.png",
        "pictures/reconstruction-00000006.png",
    }
    assert expected <= names
    rows = read(finished / "metrics.jsonl")
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert {"loss", "rate", "images_per_second", "data_wait", "memory_mib"} <= rows[0].keys()
    assert json.loads((finished / "status.json").read_text()) == {"exit_code": 0, "reason": "done"}


def test_probes_stand_beside_their_baselines(finished):
    result = json.loads((finished / "evaluation" / "step-00000006.json").read_text())
    for row in (result, *result["baselines"].values()):
        assert 0 <= row["knn"] <= 1
        assert 0 <= row["linear"] <= 1
    assert set(result["baselines"]) == {"untrained", "pixels"}


def test_evaluating_a_finished_run_needs_no_other_argument(finished, capsys):
    assert main(["--mode", "eval", "--workdir", str(finished)]) == 0
    shown = capsys.readouterr().err
    assert "untrained" in shown
    assert "pixels" in shown
    assert "trains on 50,000 images of 10 classes" in shown
    assert "evaluates on 10,000 images of 10 classes" in shown


def test_an_evaluation_with_other_settings_has_baselines_of_its_own(finished, tmp_path, capsys):
    """Each row is measured with the new settings, and the run's own figures stay."""
    folder = shutil.copytree(finished, tmp_path / "run")
    own = (folder / "evaluation/step-00000006.json").read_bytes()
    words = ["--mode", "eval", "--workdir", str(folder), "-b"]
    assert main([*words, "evaluate.Evaluation.train_images=40"]) == 0
    assert "measured again" not in capsys.readouterr().err  # as the run did
    assert main([*words, "evaluate.Evaluation.train_images=400"]) == 0
    printed = [line for line in capsys.readouterr().err.splitlines() if "measured again" in line]
    assert len(printed) == 2 and all("train: count 40 then, 400 now" in line for line in printed)
    first, second = (
        json.loads((folder / f"evaluation/{name}-00000006.json").read_text()) for name in NAMES
    )
    before = json.loads(own)
    assert (folder / "evaluation/step-00000006.json").read_bytes() == own
    assert first == before and second["baselines"]["pixels"] != before["baselines"]["pixels"]


NAMES = ("eval", "eval-2")


def test_the_same_command_does_not_overwrite(finished, capsys):
    assert main(command(finished)) == 2
    assert "expected a new folder" in capsys.readouterr().err


@pytest.mark.parametrize("workers", [0, 2])
def test_killed_and_resumed_equals_uninterrupted(finished, tmp_path, workers):
    folder = tmp_path / "killed"
    words = bare(folder, "-b", f"WORKERS={workers}")
    process = subprocess.Popen(
        [sys.executable, "-m", "pymim.run", *words], stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not list((folder / "checkpoints").glob("step-*/meta.json")) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert main([*words, "--resume", "auto"]) == 0
    for name, value in weights(finished).items():
        assert torch.equal(value, weights(folder)[name]), name


def resumed(finished, folder, *lost):
    """What becomes of the run, killed before it wrote some of its files."""
    shutil.copytree(
        finished, folder, ignore=shutil.ignore_patterns("evaluation", "status.json", *lost)
    )
    assert main(command(folder, "--resume", "auto")) == 0
    return folder


def test_killed_before_its_first_checkpoint_starts_again(finished, tmp_path):
    folder = resumed(finished, tmp_path / "killed", "checkpoints")
    rows = read(folder / "metrics.jsonl")
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    for name, value in weights(finished).items():
        assert torch.equal(value, weights(folder)[name]), name


def test_killed_after_its_last_checkpoint_is_evaluated_and_drawn(finished, tmp_path):
    folder = resumed(finished, tmp_path / "killed", "pictures")
    assert (folder / "evaluation" / "step-00000006.json").exists()
    assert (folder / "pictures" / "reconstruction-00000006.png").exists()


def test_two_processes_make_the_same_run(finished, tmp_path):
    folder = tmp_path / "two"
    by_torchrun(command(folder))
    assert_same_losses(finished, folder)


@pytest.mark.parametrize(
    "switch", ["micro=4", "recompute=True", "average=0.9", "tensorboard=True", "compile=True"]
)
def test_an_option_that_changes_no_loss(switch, finished, tmp_path):
    folder = tmp_path / "run"
    words = command if switch == "average=0.9" else bare  # it is the average that is evaluated
    assert main(words(folder, "-b", f"train.Trainer.{switch}")) == 0
    assert_same_losses(finished, folder)
    assert (folder / "tensorboard").exists() == ("tensorboard" in switch)
    assert any(name.startswith("average.") for name in weights(folder)) == ("average" in switch)


def test_tensorboard_shows_no_points_of_an_abandoned_branch(tmp_path):
    """As its own reader sees them: each step once, and the values of metrics.jsonl."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = tmp_path / "run"
    words = bare(
        folder,
        "-b",
        "train.Trainer.tensorboard=True",
        "-b",
        "train.Trainer.keep=9",
        "-b",
        "WORKERS=0",
    )
    assert main(words) == 0
    early = folder / "checkpoints/step-00000002"
    assert main([*words, "--resume", str(early), "-b", "STEPS=4", "-b", "RATIO=0.5"]) == 0
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    rows = {row["step"]: row["loss"] for row in read(folder / "metrics.jsonl")}
    assert list(rows) == [1, 2, 3, 4]
    assert {event.step: event.value for event in events.Scalars("loss")} == pytest.approx(rows)
    assert len(events.Scalars("loss")) == 4


def test_pictures_of_any_channels_are_normalised_by_their_own_statistics(tmp_path, capsys):
    np.save(
        tmp_path / "cells.npy",
        np.random.default_rng(0).integers(0, 4096, (40, 5, 40, 56)).astype(np.uint16),
    )
    more = flags([f"DATA={tmp_path / 'cells.npy'}", "CHANNELS=5", "STEPS=1"])
    assert main(command(tmp_path / "run", *more)) == 0
    assert "pixels: mean 0.031" in capsys.readouterr().err


def test_a_run_is_exported(finished, tmp_path, capsys):
    assert main(["export", str(finished), "--to", str(tmp_path / "encoder")]) == 0
    assert "encoder/model.safetensors" in capsys.readouterr().out
    exported = load_file(tmp_path / "encoder" / "model.safetensors")
    trained = weights(finished)
    assert torch.equal(
        exported["blocks.0.attn.qkv.weight"], trained["method.encoder.blocks.0.attn.qkv.weight"]
    )
    assert main(["export", str(tmp_path), "--to", str(tmp_path / "x")]) == 2
