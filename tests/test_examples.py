"""Each example's script works in a small run: every variant, the table, the README's command."""

import re
import runpy
import shlex
from itertools import pairwise
from pathlib import Path

import pytest

from pymim import compare, config
from tests.test_compare import in_this_process
from tests.test_run import QUICK

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted(ROOT.glob("examples/*/*.py"))
STILL = ["DIM=24", "HEADS=2", "DEPTH=1", "BATCH=16"]
MORE = {
    "ratio": ["--steps", "2", *STILL, "probes.FineTune.steps=2"],
    "mining": ["--steps", "2", *STILL],
    "clusters": ["--steps", "2", *STILL],
    "collapse": ["--steps", "2", *STILL],
    "epochs": ["--epochs", "1", "--images", "128", "CLUSTERS=10"],
}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_runs_every_variant_and_leaves_a_table(script, tmp_path, monkeypatch, capsys):
    words = MORE[script.stem]
    words = [part for word in words for part in (("-b", word) if "=" in word else (word,))]
    quick = [part for word in QUICK if "FineTune" not in word for part in ("-b", word)]
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(compare.children, "call", in_this_process)
    monkeypatch.setattr(
        "sys.argv", [script.name, "--seeds", "1", "--workdir", str(tmp_path), *words, *quick]
    )
    variants = runpy.run_path(str(script), run_name="__main__").get("variants")
    table = (tmp_path / "table.md").read_text()
    assert table in capsys.readouterr().out
    assert all(f"| {name} |" in table for name in variants or ())
    assert (tmp_path / "compare.png").exists()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_its_readme_has_its_command(script):
    readme = (script.parent / "README.md").read_text()
    command, *others = re.findall(r"^python ((?:.*\\\n)*.*)$", readme, re.M)
    assert shlex.split(command)[0] == str(script.relative_to(ROOT))
    for words in map(shlex.split, others):
        assert words[:2] == ["-m", "pymim.compare"]
        variants = [word.partition(": ")[2] for word in words if ": gin/" in word]
        bindings = [value for before, value in pairwise(words) if before == "-b"]
        assert variants and bindings
        for variant in variants:
            config.load([variant], bindings)
