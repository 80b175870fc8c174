"""A run resumed from an earlier step uses nothing of the old branch, and deletes it only later."""

import json

import pytest

from pymim.io import aside, checkpoint
from pymim.io.metrics import read, write_rows
from tests.io.test_checkpoint import trained


@pytest.fixture
def run(tmp_path):
    """A run of 40 steps that kept every tenth."""
    for step in (10, 20, 30, 40):
        checkpoint.save(tmp_path / "checkpoints", step, *trained(), {"branch": "old"}, keep=9)
    write_rows(tmp_path / "metrics.jsonl", [{"step": step} for step in range(1, 41)])
    for name in (
        "evaluation/step-{:08d}.json",
        "evaluation/head-{:08d}.json",
        "pictures/patch-rank-{:08d}.png",
    ):
        for step in (10, 40):
            (tmp_path / name.format(step)).parent.mkdir(exist_ok=True)
            (tmp_path / name.format(step)).write_text("")
    for name in ("evaluation/baselines.json", "pictures/curves.png"):
        (tmp_path / name).write_text("")
    return tmp_path


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def checkpoints(folder):
    return [int(path.name[-8:]) for path in checkpoint.begun(folder / "checkpoints")]


def save(run, step, keep=2):
    checkpoint.save(run / "checkpoints", step, *trained(), {"branch": "new"}, keep)


def test_only_files_of_later_steps_are_set_aside(run):
    before = names(run)
    said = aside.move(run, 10)
    late = {
        "evaluation/step-00000040.json",
        "evaluation/head-00000040.json",
        "pictures/patch-rank-00000040.png",
    }
    late |= {f"checkpoints/step-000000{step}" for step in (20, 30, 40)} | {
        "30 rows of metrics.jsonl"
    }
    assert set(said) == late
    assert checkpoints(run) == [10] and checkpoints(run / "aside") == [20, 30, 40]
    assert [row["step"] for row in read(run / "metrics.jsonl")] == list(range(1, 11))
    assert [row["step"] for row in read(run / "aside/metrics.jsonl")] == list(range(11, 41))
    assert {name.removeprefix("aside/") for name in names(run)} == set(before)
    assert aside.move(run, 10) == []


def test_checkpoints_saved_afterwards_are_the_newest(run):
    """If old checkpoints with higher numbers stayed, each new one would be deleted at once."""
    aside.move(run, 10)
    for step, kept in ((12, [10, 12]), (14, [12, 14])):
        save(run, step)
        assert checkpoints(run) == kept and checkpoints(run / "aside") == [20, 30, 40]
    assert json.loads((checkpoint.newest(run) / "meta.json").read_text())["branch"] == "new"


def test_files_of_passed_steps_are_deleted(run):
    aside.move(run, 10)
    save(run, 30)
    assert checkpoints(run / "aside") == [40] and (run / "aside/metrics.jsonl").exists()
    save(run, 40)
    assert not (run / "aside").exists() and checkpoints(run) == [30, 40]


def test_saving_an_earlier_step_sets_later_ones_aside(run):
    """A training by itself, without the command line."""
    save(run, 15)
    assert checkpoints(run) == [10, 15] and checkpoints(run / "aside") == [20, 30, 40]


def test_a_checkpoint_from_elsewhere_takes_its_place(run, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    save(other, 10)
    (path,) = checkpoint.begun(other / "checkpoints")
    assert aside.adopt(run, path, 10) == ["checkpoints/step-00000010"]
    assert json.loads((run / "checkpoints/step-00000010/meta.json").read_text())["branch"] == "new"
    assert checkpoint.check(run / "checkpoints/step-00000010") == 10 and checkpoints(
        run / "aside"
    ) == [10]
    assert aside.adopt(run, run / "checkpoints/step-00000010", 10) == []
    assert aside.adopt(other, run / "checkpoints/step-00000020", 20) == [] and checkpoints(
        other
    ) == [10, 20]


def test_the_branch_that_was_left_can_be_taken_up_again(run):
    aside.move(run, 10)
    save(run, 12)
    old = run / "aside/checkpoints/step-00000040"
    assert aside.move(run, 40) + aside.adopt(run, old, 40) == []
    assert checkpoint.peek(checkpoint.newest(run))["branch"] == "old"
