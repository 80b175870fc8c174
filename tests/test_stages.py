"""Gin files that run first: what they are given, where they are left, and how a run goes on."""

import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

from pymim import config, stages
from pymim.config import flags
from pymim.io.metrics import read
from pymim.run import main
from tests.launch import asked_once_it_learns, in_two_processes

SMALL = ["DIM=16", "DEPTH=1", "HEADS=2", "BATCH=8", "STEPS=4", "STAGE_STEPS=3"]
QUIET = [
    "Transformer.dim=16",
    "Transformer.depth=1",
    "Transformer.heads=2",
    "Trainer.evaluate=None",
]
FILE = """include 'mae.gin'
from __gin__ import dynamic_registration
from pymim import train
STAGE_STEPS = 20
STAGES = {stages}
STAGE_1 = None
STAGE_2 = None
START = %STAGE_1
"""
ONE = "(('mae.gin', {'STEPS': %STAGE_STEPS, 'train.Trainer.evaluate': None, "
ONE += "'train.Trainer.draw': None}),)"


def command(folder, *more, gin="gin/mr_mae.gin"):
    return [
        *flags([str(gin), *SMALL, *QUIET, "Trainer.draw=None", *more]),
        "--workdir",
        str(folder),
    ]


@pytest.fixture
def staged_file(tmp_path):
    def write(entries):
        (tmp_path / "staged.gin").write_text(FILE.format(stages=entries))
        return tmp_path / "staged.gin"

    return write


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stages") / "run"
    assert main(command(folder)) == 0
    return folder


def test_a_stage_leaves_its_encoder_in_the_runs_folder(finished):
    stage = finished / "stages/1-mae"
    assert json.loads((stage / "status.json").read_text())["exit_code"] == 0
    assert load_file(stage / "export/model.safetensors")["cls_token"].shape == (1, 1, 16)
    assert [row["step"] for row in read(stage / "metrics.jsonl")] == [3]
    assert f"STAGE_1 = '{stage / 'export'}'" in (finished / "config.gin").read_text().replace(
        "\\\n    ", ""
    )
    words = json.loads((stage / "stage.json").read_text())["command"]
    assert (
        words[:2] == ["--gin", "mae.gin"]
        and "STEPS=3" in words
        and "STEPS=4" not in words
        and "DIM=16" in words
    )


def test_a_finished_run_is_drawn_from_its_folder_alone_and_makes_no_stage(
    finished, tmp_path, capsys
):
    folder = shutil.copytree(finished, tmp_path / "copy")
    shutil.rmtree(folder / "stages")
    draw = ["--mode", "draw", "-b", "Trainer.draw=@draw.Pictures()", "-b", "Pictures.images=2"]
    assert main([*draw, "--workdir", str(folder)]) == 0
    assert "pictures: reconstruction, features and curves in" in capsys.readouterr().err
    assert not (folder / "stages").exists()


def test_a_resumed_run_needs_the_file_of_its_frozen_encoder(finished, tmp_path, capsys):
    folder = shutil.copytree(finished, tmp_path / "copy")
    gone = command(folder, f"STAGE_1={tmp_path / 'gone'}")
    assert main([*gone, "--resume", "auto"]) == 2
    printed = capsys.readouterr().err
    assert (
        f"Frozen: path: expected a safetensors file, or a folder with one, got {tmp_path / 'gone'}"
        in printed
    )
    tensors, other = (
        load_file(finished / "stages/1-mae/export/model.safetensors"),
        tmp_path / "other.safetensors",
    )
    save_file(tensors | {"cls_token": tensors["cls_token"] + 1}, other)
    assert main([*command(folder, f"STAGE_1={other}"), "--resume", "auto"]) == 2
    assert (
        "Frozen: path: expected the tensors that the run started with, got other"
        in capsys.readouterr().err
    )


def test_a_wrong_path_leaves_no_folder(tmp_path, capsys):
    assert main(command(tmp_path / "run", "STAGE_1=nowhere")) == 2
    printed = capsys.readouterr().err
    assert (
        "got nowhere, which is not there or has none; export a run" in printed
        and printed.count("\n") == 1
    )
    assert not (tmp_path / "run").exists()


def test_explaining_runs_no_stage(tmp_path, capsys):
    assert main([*command(tmp_path / "run"), "--mode", "explain"]) == 0
    assert "Frozen" in capsys.readouterr().out
    assert not (tmp_path / "run/stages").exists()


def passed(file, *bindings):
    """What the last stage of a configuration is given."""
    text = config.load([str(file)], bindings)
    entries = config.build("train.Trainer", "stages").files
    stage = stages.Stage.of(len(entries), entries[-1], file.parent)
    return sorted(stages.passed(stage, text, bindings))


def test_macros_of_the_command_line_are_passed_on_unless_the_entry_sets_them(staged_file):
    words = ["DIM=16", "STEPS = 4", "SEED=7", "STAGE_STEPS=3", "ViT.dim=8", "START=x", "BATCH=8"]
    assert passed(staged_file(ONE), *words) == ["BATCH=8", "DIM=16", "SEED=7"]


def test_a_macro_is_passed_on_where_the_stage_reads_it(staged_file):
    """With what else it is given: an encoder that reads DIM, say."""
    file = staged_file("(('deepcluster.gin', {'STEPS': %STAGE_STEPS}),)")
    assert passed(file, "DIM=16", "STAGE_STEPS=3") == []
    more = file.read_text() + "from pymim import encoders\nTRUNK = @encoders.ResNet()\n"
    file.write_text(more)
    assert passed(file, "DIM=16", "TRUNK=@encoders.ViT()") == ["DIM=16", "TRUNK=@encoders.ViT()"]


def test_a_macro_that_the_stage_alone_reads_has_an_effect(staged_file, tmp_path, capsys):
    file = staged_file("(('mae.gin', {'STEPS': %STAGE_STEPS}),)")
    blocks = ["method.Method.mask=@masks.Block()", "RATIO=0.5"]
    words = [*command(tmp_path / "run", *blocks, gin=file), "--mode", "explain"]
    assert main(words) == 0
    assert main([*words, "-b", f"STAGE_1={tmp_path}"]) == 2  # then the stage does not run
    assert "RATIO is read by masks.Uniform, which this" in capsys.readouterr().err


def test_a_binding_without_effect_is_refused_before_the_stages_run(staged_file, tmp_path, capsys):
    file = staged_file("(('deepcluster.gin', {'STEPS': %STAGE_STEPS}),)")
    words = command(tmp_path / "run", "method.Method.mask=@masks.Block()", "RATIO=0.5", gin=file)
    assert main(words) == 2
    assert "RATIO is read by masks.Uniform, which this" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_stage_sees_the_data_of_the_run_wherever_they_are_named(staged_file):
    file = staged_file("'mae.gin'")
    file.write_text(
        file.read_text()
        + "DATA = 'somewhere'\nSTATISTICS = ((0.5, 0.5, 0.5),\n    (1.0, 1.0, 1.0))\n"
    )
    given = passed(file)
    assert given[0] == "DATA='somewhere'" and len(given) == 2
    assert given[1].replace(" ", "") == "STATISTICS=((0.5,0.5,0.5),(1.0,1.0,1.0))"


def test_a_source_that_is_a_component_comes_with_its_arguments(staged_file):
    words = ["DATA=@data.Digits", "data.Digits.length=40"]
    assert passed(staged_file("'mae.gin'"), *words) == [
        "DATA=@data.Digits",
        "data.Digits.length = 40",
    ]
    assert passed(staged_file("(('mae.gin', 'DATA=digits'),)"), *words) == []


def test_a_stage_inherits_earlier_stages_unless_it_has_its_own(staged_file):
    file = staged_file("('mae.gin', 'mr_mae.gin')")
    assert passed(file, "STAGE_1=first") == []
    assert passed(staged_file("('mae.gin', ('mr_mae.gin', 'STAGES=()'))"), "STAGE_1=first") == [
        "STAGE_1=first"
    ]
    assert (
        passed(staged_file("('mae.gin', ('mr_mae.gin', {'STAGE_1': %STAGE_1}))"), "STAGE_1=first")
        == []
    )


def test_an_entry_without_a_gin_file_is_refused(staged_file, tmp_path, capsys):
    file = staged_file("(('STEPS=3',),)")
    assert main(["--gin", str(file), "--workdir", str(tmp_path / "run")]) == 2
    assert (
        "STAGES: expected a gin file in each entry, got ('STEPS=3',); name one"
        in capsys.readouterr().err
    )


def test_a_stage_that_fails_ends_the_run_with_its_code_and_its_command(
    staged_file, tmp_path, capfd
):
    own = "{'STEPS': 50, 'train.Trainer.log_every': %STAGE_STEPS}"
    file = staged_file(f"(('mae.gin', 'optim.AdamW.rate=1e30', 'optim.AdamW.warmup=0', {own}),)")
    assert main(command(tmp_path / "run", gin=file)) == 3
    printed = capfd.readouterr().err
    assert (
        "lower the learning rate" in printed
        and "1-mae: ended with exit code 3; run it alone: " in printed
    )
    assert not (tmp_path / "run/config.gin").exists()


def test_a_signal_stops_the_stage_and_a_resumed_run_continues_it(staged_file, tmp_path, capfd):
    """And the run begins from the weights of its stage, and once."""
    folder, file = tmp_path / "run", staged_file(ONE)
    metrics = folder / "stages/1-mae/metrics.jsonl"

    with asked_once_it_learns(metrics):
        assert main(command(folder, "STAGE_STEPS=100000", gin=file)) == 75
    assert "stopped by SIGTERM in stage 1-mae; --resume auto continues it" in capfd.readouterr().err
    (saved,) = (folder / "stages/1-mae/checkpoints").iterdir()
    steps = int(saved.name.removeprefix("step-"))
    assert main(command(folder, gin=file)) == 2  # another run is not begun in this folder
    again = [*command(folder, f"STAGE_STEPS={steps + 1}", gin=file), "--resume", "auto"]
    assert main(again) == 0
    printed = capfd.readouterr().err
    assert f"steps {steps} to {steps + 1}" in printed
    assert (
        f"start: {folder}/stages/1-mae/export/model.safetensors: 18 of 18 tensors loaded" in printed
    )
    shutil.rmtree(folder / "stages/1-mae/export")
    assert main(again) == 0
    printed = capfd.readouterr().err
    assert "start:" not in printed and "steps 4 to 4" in printed


def test_two_processes_wait_for_one_stage(finished, tmp_path):
    folder = tmp_path / "two"
    in_two_processes(command(folder))
    assert len(read(folder / "stages/1-mae/metrics.jsonl")) == 1
    for part in ("loss", "mimic", "pixels"):
        first, second = (read(run / "metrics.jsonl")[-1][part] for run in (finished, folder))
        assert second == pytest.approx(first, rel=2e-2)


def test_a_stage_inherits_text_with_any_characters():
    text = "data.Folder.path = 'a 100% \\\\ path'\ndata.Folder.channels = %CHANNELS\n"
    text += "data.Other.path = 'c'\n"
    assert stages._arguments("data.Folder", text) == ["data.Folder.path = 'a 100% \\\\ path'"]
