"""A fault of a run ends it with one line, and what was saved before stays."""

import json
import re
import subprocess
import sys

import numpy as np
from PIL import Image
from safetensors.torch import load_file

from pymim.config import flags
from pymim.io.metrics import read
from pymim.run import main
from tests.launch import asked_once_it_learns
from tests.test_run import bare, command


def test_a_signal_saves_and_asks_to_be_started_again(tmp_path, capsys):
    folder = tmp_path / "stopped"

    with asked_once_it_learns(folder / "metrics.jsonl"):
        assert main(bare(folder, "-b", "STEPS=100000")) == 75
    assert "which is saved; --resume auto continues the run" in capsys.readouterr().err
    assert list((folder / "checkpoints").glob("step-*/meta.json"))


def test_a_loss_that_is_not_finite_leaves_its_batch(tmp_path, capsys):
    folder = tmp_path / "nan"
    assert (
        main(
            bare(
                folder,
                "-b",
                "optim.AdamW.rate=1e30",
                "-b",
                "optim.AdamW.warmup=0",
                "-b",
                "STEPS=50",
            )
        )
        == 3
    )
    assert "lower the learning rate" in capsys.readouterr().err
    (saved,) = (folder / "nan").glob("*.safetensors")
    assert load_file(saved)["view0"].shape == (8, 3, 32, 32)


def test_a_full_disk_is_one_line_and_leaves_the_earlier_checkpoint(tmp_path):
    """A file larger than the process may write fails like one for which the disk has no room."""
    folder = tmp_path / "full"
    words = bare(folder, "-b", "WORKERS=0")
    assert main([*words, "-b", "STEPS=2"]) == 0
    (saved,) = (folder / "checkpoints").iterdir()
    limit = (
        f"import resource, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, ({2**14}, {2**14})); "
    )
    start = "runpy.run_module('pymim.run', run_name='__main__')"
    found = subprocess.run(
        [sys.executable, "-c", limit + start, *words, "--resume", "auto"],
        capture_output=True,
        text=True,
    )
    assert found.returncode == 6 and "Traceback" not in found.stderr
    assert re.search(
        r"step-00000004: could not be written \(File too large: .* earlier checkpoints are",
        found.stderr,
    )
    assert list((folder / "checkpoints").iterdir()) == [saved]
    assert json.loads((folder / "status.json").read_text())["exit_code"] == 6
    assert main([*words, "--resume", "auto"]) == 0
    assert (folder / "checkpoints/step-00000006/meta.json").exists()


def test_missing_tensorboard_is_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert main(command(tmp_path / "run", "-b", "train.Trainer.tensorboard=True")) == 2
    printed = capsys.readouterr().err
    assert (
        "tensorboard: expected the package, got none; pip install 'pymim[tensorboard]'" in printed
    )
    assert printed.count("\n") == 1


def test_broken_pictures_are_counted_and_reported(tmp_path, capsys, caplog):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(40):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 40, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    (folder / "07.png").write_bytes(b"no picture")
    more = flags([f"DATA={folder}", "STATISTICS='half'", "STEPS=4", "BATCH=20"])
    assert main(command(tmp_path / "run", *more)) == 0
    assert read(tmp_path / "run" / "metrics.jsonl")[-1]["broken"] == 1
    shown = capsys.readouterr().err
    assert "broken 1" in shown
    assert f"trains on 40 images without labels in 40 files of {folder};" in shown
    assert "evaluates on nothing: no test set and no labels" in shown
    assert "07.png" in caplog.text


def test_missing_data_are_one_line(tmp_path, capsys):
    assert (
        main(["--gin", "gin/mae.gin", "-b", "DATA=nowhere", "--workdir", str(tmp_path / "run")])
        == 4
    )
    printed = capsys.readouterr().err
    assert "expected a file, a folder or one of" in printed and printed.count("\n") == 1
