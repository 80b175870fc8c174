"""What README says works: its Python runs as it stands, its commands are ones that exist."""

import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from pymim import config, run
from pymim.contracts import Draw
from tests.asking import batch_of

README = (Path(__file__).parent.parent / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = re.findall(r"(?:^|&& )(?:python -m pymim\.run|pymim) (?!export)(.+)$", README, re.MULTILINE)
TINY = "-b DIM=16 -b DEPTH=1 -b HEADS=2 -b BATCH=8 -b STEPS=1 -b Transformer.dim=16 -b Transformer.heads=2"


@pytest.mark.parametrize("code", PYTHON, ids=lambda code: code.splitlines()[-1][:40])
def test_examples_run_as_they_stand(code):
    left = {}
    exec(compile(code, "README.md", "exec"), left)
    assert left.keys() > {"__builtins__"}


def test_there_are_examples_and_commands():
    assert len(PYTHON) >= 3
    assert len(COMMANDS) >= 3


@pytest.mark.parametrize("command", sorted(set(COMMANDS)))
def test_commands_parse_and_configure(command):
    args = run.parse(shlex.split(command))
    assert config.load(args.gin, args.bindings)


def test_the_first_command_runs_small(tmp_path):
    values = ("Evaluation.train_images=20", "Evaluation.test_images=10", "Pictures.images=2", "FineTune.steps=2")
    values += ("probes.Linear.iterations=3",)
    quick = " ".join(f"-b {value}" for value in values)
    words = shlex.split(f"{COMMANDS[0]} {TINY} {quick} --workdir {tmp_path / 'run'}")
    assert run.main(words) == 0


def test_adding_a_method_really_adds_one(tmp_path, monkeypatch, capsys):
    page = README[README.index("## Add a method") : README.index("## The core, called")]
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (gin,) = re.findall(r"```\n(# .*?)```", page, re.DOTALL)
    assert len(gin.splitlines()) <= 10
    (tmp_path / "contrast.py").write_text(code)
    (tmp_path / "contrast.gin").write_text(gin)
    monkeypatch.syspath_prepend(tmp_path)
    quick = "-b STEPS=2 -b train.Trainer.evaluate=None -b train.Trainer.draw=None"
    words = shlex.split(f"--gin {tmp_path / 'contrast.gin'} {TINY} {quick} --workdir {tmp_path / 'run'}")
    assert run.main(words) == 2 and "add --trust" in capsys.readouterr().err
    assert run.main([*words, "--trust"]) == 0
    theirs = ["export", str(tmp_path / "run"), "--to", str(tmp_path / "to")]
    assert run.main(theirs) == 2 and "import contrast: expected a module" in capsys.readouterr().err
    assert run.main([*theirs, "--trust"]) == 0
    from contrast import Contrast

    light = torch.zeros(1, 3, 8, 8)
    light[..., 4:, 4:] = torch.rand(3, 4, 4)
    difficulty = Contrast(SimpleNamespace(patch=(4, 4)), [])(batch_of(light), Draw(0, 0))
    assert difficulty.argmax() == 3 and (difficulty[0, :3] == 0).all()


def test_named_folders_and_presets_exist():
    root = Path(__file__).parent.parent
    presets = (root / "CMakePresets.json").read_text()
    for name in ("release", "cuda", "dev", "emulate", "emulate-asan", "asan", "tsan"):
        assert f'"name": "{name}"' in presets
    for name in ("examples/cpp", "tests/test_design.py", "CHANGELOG.md", "constraints.txt", ".ci/run"):
        assert (root / name).exists(), name
