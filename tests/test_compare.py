"""Comparisons: every variant and seed is run once, and what was stopped or done is not begun again."""

import json
from types import SimpleNamespace

import pytest

from pymim import compare
from pymim.run import main
from tests.test_run import QUICK, SMALL


def in_this_process(command, check):
    """`subprocess.run` of a run: to start a process takes longer than two steps."""
    assert command[1:3] == ["-m", "pymim.run"]
    return SimpleNamespace(returncode=main(command[3:]))


@pytest.fixture
def counted(monkeypatch):
    """The folders of the runs that were started."""
    started = []

    def count(command, **options):
        started.append(command[command.index("--workdir") + 1])
        return in_this_process(command, **options)

    monkeypatch.setattr(compare.subprocess, "run", count)
    return started


def test_two_variants_side_by_side(tmp_path, counted):
    common = [*SMALL, *QUICK, "STEPS=2", "WORKERS=0"]
    variants = {"half": ["gin/mae.gin", "RATIO=0.5"], "most": ["gin/mae.gin", "RATIO=0.75"]}
    table = compare.compare(variants, tmp_path, seeds=2, common=common)
    assert list(table) == ["half", "most", "untrained", "pixels"]
    assert all(len(values) == 2 for name in variants for values in table[name].values())
    assert "RATIO=0.5" in (tmp_path / "half/seed-1/config.gin").read_text().replace(" ", "")
    assert table == json.loads((tmp_path / "table.json").read_text())
    assert (tmp_path / "compare.png").exists() and "| half |" in (tmp_path / "table.md").read_text()
    assert len(counted) == 4
    compare.compare(variants, tmp_path, seeds=2, common=common)
    assert len(counted) == 4


def test_spread_is_told_of_several_seeds_only():
    table = {"a": {"knn": [0.5, 0.7]}, "pixels": {"knn": [0.25]}}
    assert compare.markdown(table).splitlines()[2:] == ["| a | 60.0 +- 14.1 |", "| pixels | 25.0 |"]


def test_a_failing_run_is_named(tmp_path, capfd):
    words = ["wrong: gin/mae.gin DIMM=3", "--workdir", str(tmp_path), "--seeds", "1"]
    with pytest.raises(SystemExit) as stop:
        compare.main(words)
    assert stop.value.code == 2
    error = capfd.readouterr().err
    assert "exit code 2" in error and "pymim.run" in error
