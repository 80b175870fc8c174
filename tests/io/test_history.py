"""config.gin is what runs now, with bindings of a resume; earlier ones carry their last step."""

import shutil

import pytest

from pymim import config
from pymim.io import Folder, checkpoint, history
from pymim.io.metrics import read
from pymim.run import main
from tests.test_run import bare


def bound(file):
    """What a configuration says of the rate and the number of steps, "" where nothing."""
    found = config.bindings(file.read_text())
    return found.get("optim.AdamW.rate", ""), found["STEPS"]


def files(folder):
    return sorted(path.name for path in folder.glob("config*.gin"))


def go_on(folder, *bindings, resume="auto"):
    """Go on by the run's own configuration, and what is bound besides."""
    return main(["--workdir", str(folder), "--resume", str(resume), *config.flags(bindings)])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of four steps at a rate of 0.01."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    words = [
        "-b",
        "STEPS=4",
        "-b",
        "WORKERS=0",
        "-b",
        "train.Trainer.keep=9",
        "-b",
        "optim.AdamW.rate=0.01",
    ]
    assert main(bare(folder, *words)) == 0
    return folder


@pytest.fixture
def run(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


def test_bindings_of_a_resume_hold_from_then_on(run, capsys):
    assert go_on(run, "optim.AdamW.rate=0.002", "STEPS=6") == 0
    said = capsys.readouterr().err
    assert "config: +optim.AdamW.rate = 0.002" in said
    assert (
        f"resume: the configuration up to step 4 is kept in {run}/config.until-00000004.gin" in said
    )
    assert go_on(run, "STEPS=8") == 0
    assert bound(run / "config.gin") == ("0.002", "8")
    assert bound(run / "config.until-00000006.gin") == ("0.002", "6")
    assert bound(run / "config.until-00000004.gin") == ("0.01", "4")
    assert [bound(history.at(run, step))[1] for step in (0, 4, 5, 6, 7, 8)] == [
        "4",
        "4",
        "6",
        "6",
        "8",
        "8",
    ]
    assert "rate = 0.01" in (run / "operative_config.until-00000004.gin").read_text()
    rates = {row["step"]: row["rate"] for row in read(run / "metrics.jsonl")}
    assert (
        rates[2] > 5 * rates[6]
    )  # of one schedule, a fifth of the rate: with the old one it would be alike


def test_a_resume_without_bindings_keeps_what_runs(run, capsys):
    assert go_on(run, "STEPS=6") == 0
    before = {name: (run / name).read_bytes() for name in files(run)}
    assert go_on(run) == 0
    assert {name: (run / name).read_bytes() for name in files(run)} == before
    assert not [name for name in run.glob("operative_config.until-*") if "04" not in name.name]
    capsys.readouterr()
    assert main(["export", str(run), "--to", str(run / "export")]) == 0
    assert main(["--mode", "eval", "--workdir", str(run)]) == 2  # what runs has no evaluation
    assert "sets no train.Trainer.evaluate" in capsys.readouterr().err


def test_export_reads_what_runs_now(run, monkeypatch):
    """A resume that changes what is exported: the deviation by which pixels are divided."""
    assert go_on(run, "STEPS=6", "STATISTICS='half'") == 0
    assert main(["export", str(run), "--to", str(run / "export")]) == 0
    assert '"mean": [\n   0.5' in (run / "export/config.json").read_text()


def test_fewer_steps_than_done_are_refused_and_change_nothing(run, capsys):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert go_on(run, "STEPS=3", "SEED=9") == 2
    said = capsys.readouterr().err
    assert "expected train.Trainer.steps of 4 or more, as the run has done 4 steps, got 3" in said
    assert said.count("\n") == 1
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_branch_keeps_the_configuration_before_it(run):
    assert go_on(run, "STEPS=6", "optim.AdamW.rate=0.002") == 0
    early = run / "checkpoints/step-00000002"
    assert go_on(run, "STEPS=5", "train.Trainer.save_every=1", resume=early) == 0
    assert files(run) == ["config.gin", "config.until-00000002.gin"]
    assert (
        bound(run / "config.gin") == ("0.002", "5")
        and bound(run / "config.until-00000002.gin")[0] == "0.01"
    )
    assert files(run / "aside") == ["config.gin", "config.until-00000004.gin"]
    assert bound(run / "aside/config.gin") == ("0.002", "6")
    old = run / "aside/checkpoints/step-00000006"
    assert go_on(run, "STEPS=6", resume=old) == 0  # by what runs now, which saves each step
    assert bound(run / "config.until-00000006.gin") == ("0.002", "6")
    assert go_on(run, "STEPS=7") == 0
    assert not (run / "aside").exists()


def test_returning_to_an_earlier_configuration_keeps_no_copy(run):
    early = run / "checkpoints/step-00000002"
    assert go_on(run, "optim.AdamW.rate=0.002", resume=early) == 0
    assert "config.until-00000002.gin" in files(run)
    assert go_on(run, "optim.AdamW.rate=0.01", resume=early) == 0
    assert files(run) == ["config.gin"] and bound(run / "config.gin")[0] == "0.01"


def test_a_run_resumed_from_another_keeps_its_configuration(run, tmp_path):
    first = checkpoint.newest(run)
    words = ["-b", "STEPS=5", "-b", "WORKERS=0", "--resume", str(first)]
    assert main(bare(tmp_path / "next", *words)) == 0
    assert bound(tmp_path / "next/config.until-00000004.gin") == ("0.01", "4")
    assert bound(tmp_path / "next/config.gin")[1] == "5"


def test_a_kill_between_two_files_loses_neither(tmp_path):
    folder, texts = Folder(tmp_path), {"config": "B\n"}
    history.write(folder, 0, {}, {"config": "A\n"})
    (tmp_path / "config.until-00000010.gin").write_text(
        "A\n"
    )  # killed before config.gin was written
    assert history.texts(tmp_path, 10) == {"config": "A\n"}
    history.write(folder, 10, history.texts(tmp_path, 10), texts)
    assert (tmp_path / "config.gin").read_text() == "B\n"
    assert history.at(tmp_path, 10).name == "config.until-00000010.gin"
    (tmp_path / "config.until-notes.gin").write_text("mine")
    assert history.at(tmp_path, 11).name == "config.gin"
