"""A run keeps what it measured of its data; a resume or a start that does not fit is refused."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from pymim import config
from pymim.contracts import Draw
from pymim.data.channel_statistics import forget
from pymim.io import measured
from pymim.run import main
from tests.launch import BARE

SMALL = [
    "DIM=12",
    "DEPTH=1",
    "BATCH=4",
    "STEPS=2",
    "predictors.Transformer.dim=12",
    "WORKERS=0",
    *BARE,
]


def pictures(folder, name, count, low, high):
    """Noise of pixels from `low` to `high`, in two classes."""
    draw = np.random.default_rng(0)
    for number in range(count):
        path = folder / "ab"[number % 2] / f"{name}{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(low, high, (32, 32, 3), dtype=np.uint8)).save(path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of two steps on a folder of noise, in folders whose names have quotes and spaces."""
    place = tmp_path_factory.mktemp("it's 100% (mine)")
    pictures(place / "my photos", "x", 24, 0, 128)
    words = config.flags(["gin/mae.gin", *SMALL, f"DATA={place / 'my photos'}"])
    assert main([*words, "--workdir", str(place / "a 'run'")]) == 0
    return place


@pytest.fixture
def run(trained, tmp_path):
    """A copy of it, which a test may go on with."""
    shutil.copytree(trained / "a 'run'", tmp_path / "a 'run'")
    return tmp_path / "a 'run'"


def known(run):
    return config.bindings((run / "config.gin").read_text())["data.measured.known"]


def test_statistics_are_written_once_and_are_those_of_the_pictures(trained):
    mean, deviation = eval(known(trained / "a 'run'"))
    assert mean == pytest.approx([63.5 / 255] * 3, abs=0.01)
    assert deviation == pytest.approx([128 / 12**0.5 / 255] * 3, abs=0.01)


def test_a_resumed_run_keeps_its_statistics_if_the_data_change(trained, run, tmp_path, capsys):
    shutil.copytree(trained / "my photos", tmp_path / "more")
    pictures(tmp_path / "more", "white", 30, 250, 255)
    again = ["--workdir", str(run), "--resume", "auto"]
    for words in (
        again,
        [*again, *config.flags(["gin/mae.gin", *SMALL])],
    ):  # by its own file, and by the first
        assert main([*words, *config.flags([f"DATA={tmp_path / 'more'}", "STEPS=3"])]) == 0
        (line,) = [
            line for line in capsys.readouterr().err.splitlines() if line.startswith("pixels: ")
        ]
        assert line.startswith(f"pixels: mean {eval(known(run))[0][0]:.4g} ")


def test_statistics_are_exported_without_the_data(trained, run, tmp_path, monkeypatch):
    monkeypatch.setattr("pymim.data.opening.open", lambda *_, **__: pytest.fail("data were opened"))
    assert main(["export", str(run), "--to", str(tmp_path / "out")]) == 0
    shown = json.loads((tmp_path / "out" / "config.json").read_text())["pretrained_cfg"]
    mean, deviation = eval(known(run))
    assert shown["mean"] == pytest.approx(mean) and shown["std"] == pytest.approx(deviation)
    saved = load_file(next(run.glob("checkpoints/*2/state.safetensors")))
    out = load_file(tmp_path / "out" / "model.safetensors")
    assert out and all(
        torch.equal(value, saved[f"method.encoder.{name}"]) for name, value in out.items()
    )


@pytest.mark.parametrize(
    ("binding", "message"),
    [
        (
            "STEPS=1",
            "expected train.Trainer.steps of 2 or more, as the run has done 2 steps, got 1; "
            "raise STEPS",
        ),
        (
            "DIM=24",
            "expected encoder.cls_token of shape [1, 1, 24], got [1, 1, 12]; it was saved by "
            "another configuration: DIM = 24, was 12",
        ),
    ],
)
def test_a_resume_that_does_not_fit_names_the_setting(binding, message, run, capsys):
    assert main(["--workdir", str(run), "--resume", "auto", "-b", binding]) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_weights_of_another_size_are_refused_by_their_shapes(run, tmp_path, capsys):
    words = config.flags(["gin/mae.gin", *SMALL, "DIM=24", f"START={run}", "DATA=digits"])
    assert main([*words, "--workdir", str(tmp_path / "next")]) == 2
    message = "expected tensors of the encoder's shapes, got cls_token [1, 1, 12], here [1, 1, 24]"
    assert message in capsys.readouterr().err
    assert not (tmp_path / "next").exists()


def test_embedded_data_write_no_statistics(tmp_path):
    words = config.flags(
        ["gin/mae.gin", *SMALL, "DATA=@data.Digits", "data.Digits.length=8", "STATISTICS=half"]
    )
    assert main([*words, "--workdir", str(tmp_path / "run")]) == 0
    assert "known" not in (tmp_path / "run" / "config.gin").read_text()


def test_the_range_is_kept_with_mean_and_deviation(tmp_path):
    """Changes of colour and pictures go by it: also where the data are absent later on."""
    pixels = np.random.default_rng(0).uniform(-1024, 3071, (12, 32, 32, 3)).astype(np.float32)
    pixels[:, 0, 0], pixels[:, 0, 1] = -1024, 3071
    np.save(tmp_path / "x.npy", pixels)
    config.load(["gin/simclr.gin"], ["STEPS=2", f"DATA={str(tmp_path / 'x.npy')!r}"])
    forget()
    text = measured.once("", "train.Trainer", tmp_path / "none")
    _, deviations, between = eval(config.bindings(text)["data.measured.known"])
    assert between == (-1024, 3071) and deviations == pytest.approx([4095 / 12**0.5] * 3, rel=0.02)
    (tmp_path / "x.npy").unlink()
    view = config.parts("data.Loader", "views")[0]
    assert view.normalise.range == between and view.changes
    shown = view.normalise.undo(
        view(torch.from_numpy(pixels).permute(0, 3, 1, 2), torch.arange(12), Draw(0, 0))
    )
    assert 0.2 < shown.mean() < 0.8 and shown.std() > 0.1
