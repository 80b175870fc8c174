"""How stopped and failed runs end: exit code, one line, status.json, and what is saved."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch
from safetensors.torch import load_file

from pymim.config import flags
from pymim.data import Digits
from pymim.draw import Pictures
from pymim.errors import DataError, Diverged
from pymim.evaluate import Evaluation
from pymim.io.metrics import read
from pymim.method import Method
from pymim.run import main
from pymim.train import Trainer
from tests.launch import BARE

SMALL = [
    *("DIM=16", "DEPTH=1", "HEADS=2", "BATCH=8", "STEPS=6"),
    *("Transformer.dim=16", "Transformer.depth=1", "Transformer.heads=2"),
    *("train.Trainer.log_every=1", "train.Trainer.save_every=4"),
    *("DATA=@data.Digits", "data.Digits.length=24", "WORKERS=0"),
]


def command(folder, *more):
    return [*flags(["gin/mae.gin", *SMALL, *BARE, *more]), "--workdir", str(folder)]


def saved(folder):
    return [
        path.parent.name[-1] for path in sorted((folder / "checkpoints").glob("step-*/meta.json"))
    ]


def weights(folder, step):
    return load_file(folder / "checkpoints" / f"step-{step:08d}" / "state.safetensors")


def at(step, does, kept=None):
    """Make a method of a trainer or its parts that calls `does` in its call `step`, from 0."""
    calls = []

    def changed(self, *arguments):
        calls.append(0)
        if len(calls) == step + 1:
            does()
        return kept(self, *arguments) if kept else None

    return changed


def ask(number=signal.SIGTERM):
    os.kill(os.getpid(), number)
    time.sleep(0.01)


def fail(error):
    raise error


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert main(command(folder)) == 0
    return folder


def ended(folder, capsys, code, words, steps):
    """What an ended run left: the line, the record and the checkpoints."""
    printed = [
        line
        for line in capsys.readouterr().err.splitlines()
        if line.startswith(("pymim:", "Trace"))
    ]
    assert len(printed) == 1 and words in printed[0]
    status = json.loads((folder / "status.json").read_text())
    assert status["exit_code"] == code and words in status["reason"]
    assert saved(folder) == steps


def assert_goes_on(folder, whole):
    assert main([*command(folder), "--resume", "auto"]) == 0
    for name, value in weights(whole, 6).items():
        assert torch.equal(value, weights(folder, 6)[name]), name
    assert json.loads((folder / "status.json").read_text()) == {"exit_code": 0, "reason": "done"}
    assert [row["step"] for row in read(folder / "metrics.jsonl")] == [*range(1, 7)]


STEP = "learn", Trainer.learn, 2
EPOCH = "before_epoch", Method.before_epoch, 1  # after step 3


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [(signal.SIGTERM, 75, "stopped by SIGTERM"), (signal.SIGINT, 130, "interrupted")],
)
@pytest.mark.parametrize(("owner", "place"), [(Trainer, STEP), (Method, EPOCH)])
def test_a_signal_saves_what_is_done(
    whole, tmp_path, monkeypatch, capsys, number, code, words, owner, place
):
    name, kept, step = place
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, at(step, lambda: ask(number), kept))
        assert main(command(folder)) == code
    ended(
        folder,
        capsys,
        code,
        f"{words} after step 3, which is saved; --resume auto continues the run",
        ["3"],
    )
    assert_goes_on(folder, whole)


def test_a_half_prepared_epoch_is_not_saved(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "run"

    def half(self, run):
        if run.step == 3:
            with torch.no_grad():
                next(self.parameters()).add_(1)
            ask()

    monkeypatch.setattr(Method, "before_epoch", half)
    assert main(command(folder, "train.Trainer.save_every=2")) == 75
    ended(
        folder,
        capsys,
        75,
        "stopped by SIGTERM after step 3, the last saved step is 2; --resume auto",
        ["2"],
    )


@pytest.mark.parametrize(
    ("error", "code", "words", "steps"),
    [
        (
            DataError("no more pictures"),
            4,
            "no more pictures (after step 3, which is saved; --resume",
            ["3"],
        ),
        (MemoryError(), 5, "out of memory", []),
    ],
)
def test_failing_data_save_the_finished_steps(
    whole, tmp_path, monkeypatch, capsys, error, code, words, steps
):
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(Method, "before_epoch", at(1, lambda: fail(error)))
        assert main(command(folder)) == code
    ended(folder, capsys, code, words, steps)
    assert_goes_on(folder, whole)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (Diverged("the loss is nan"), 3, "the loss is nan"),
        (
            RuntimeError("CUDA out of memory. Tried to allocate"),
            5,
            "out of memory; lower train.Trainer.micro, or set",
        ),
        (RuntimeError("std::bad_alloc"), 5, "out of memory"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (
            OSError(28, "No space left on device", "metrics.jsonl"),
            6,
            "metrics.jsonl: could not be written",
        ),
    ],
)
def test_status_has_the_exit_code_and_the_message(
    tmp_path, monkeypatch, capsys, error, code, words
):
    monkeypatch.setattr(Trainer, "learn", at(1, lambda: fail(error), Trainer.learn))
    assert main(command(tmp_path / "run")) == code
    ended(tmp_path / "run", capsys, code, words, [])


def test_status_names_a_bug(tmp_path, monkeypatch):
    monkeypatch.setattr(
        Trainer, "learn", at(0, lambda: fail(TypeError("two\nlines")), Trainer.learn)
    )
    with pytest.raises(TypeError):
        main(command(tmp_path / "run"))
    assert json.loads((tmp_path / "run/status.json").read_text()) == {
        "exit_code": 1, "reason": "TypeError: two lines"
    }  # fmt: skip


def test_a_running_run_has_no_status(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    seen, learn = [], Trainer.learn
    for steps in (1, 2):
        looks = at(0, lambda: seen.append((folder / "status.json").exists()), learn)
        monkeypatch.setattr(Trainer, "learn", looks)
        assert main([*command(folder, f"STEPS={steps}"), "--resume", "auto"]) == 0
    assert seen == [False, False]


LOOKS = ["train.Trainer.evaluate=@evaluate.Evaluation()", "train.Trainer.draw=@draw.Pictures()"]


@pytest.mark.parametrize(("owner", "mode"), [(Evaluation, "eval"), (Pictures, "draw")])
def test_a_signal_stops_a_callback(tmp_path, monkeypatch, capsys, owner, mode):
    folder = tmp_path / "run"
    monkeypatch.setattr(owner, "__call__", lambda *_: (ask(), time.sleep(60)))
    assert main(command(folder, *LOOKS)) == 75
    ended(folder, capsys, 75, "stopped by SIGTERM after step 6, which is saved", ["4", "6"])
    assert main(["--mode", mode, "--workdir", str(folder)]) == 75
    assert capsys.readouterr().err.splitlines()[-1] == "pymim: stopped by SIGTERM"


@pytest.mark.parametrize("count", [0, 1])
def test_a_signal_stops_a_run_whose_storage_hangs(tmp_path, monkeypatch, capsys, count):
    monkeypatch.setattr("pymim.signals.PATIENCE", 0.3)
    monkeypatch.setattr("pymim.data.pool.GLANCE", 0.1)
    slow = at(1, lambda: (ask(), time.sleep(30)), Digits.take) if count == 0 else None
    if slow:
        monkeypatch.setattr(Digits, "take", slow)
    else:  # a worker that is stopped by a signal
        monkeypatch.setattr(Trainer, "learn", at(1, stop_workers, Trainer.learn))
    began = time.monotonic()
    assert main(command(tmp_path / "run", "STEPS=1000", f"WORKERS={count}")) == 75
    assert time.monotonic() - began < 15
    printed = capsys.readouterr().err
    assert "stopped by SIGTERM" in printed and "Traceback" not in printed


def stop_workers():
    from pymim.data.workers import _started

    for worker in _started:
        if worker.is_alive():
            os.kill(worker.pid, signal.SIGSTOP)
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()


def test_a_killed_worker_is_one_line_and_what_is_done_is_saved(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Trainer, "learn", at(1, kill_workers, Trainer.learn))
    assert main(command(tmp_path / "run", "STEPS=9", "WORKERS=2")) == 4
    printed = [
        line
        for line in capsys.readouterr().err.splitlines()
        if line.startswith(("pymim:", "Trace"))
    ]
    (step,) = saved(tmp_path / "run")
    assert len(printed) == 1 and "was killed before it made the batch of step" in printed[0]
    assert f"(after step {step}, which is saved; --resume auto continues the run)" in printed[0]


def kill_workers():
    from pymim.data.workers import _started

    for worker in _started:
        worker.kill()


@pytest.mark.parametrize("after", [0.4, 1.0])
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75), (signal.SIGHUP, 75)]
)
def test_a_signal_while_a_run_starts_is_one_line(tmp_path, after, number, code):
    words = command(tmp_path / "run", "STEPS=100000", "train.Trainer.save_every=100000")
    run = subprocess.Popen(
        [sys.executable, "-m", "pymim.run", *words], stderr=subprocess.PIPE, text=True
    )
    time.sleep(after)
    run.send_signal(number)
    printed = run.communicate(timeout=60)[1]
    assert run.returncode == code and "Traceback" not in printed
    assert printed.count("pymim: ") == 1
