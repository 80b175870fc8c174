"""A mistyped name gives one line with the nearest spelling, and exit code 2, before the build."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pymim import config
from pymim.config import catalogue
from pymim.errors import ConfigError
from pymim.run import main

MAE = ["--gin", "gin/mae.gin"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--gin", "gin/mea.gin"], "--gin gin/mea.gin: no such file; did you mean mae.gin?"),
        ([*MAE, "-b", "RATOI=0.5"], "no macro is called RATOI; did you mean RATIO?"),
        (
            [*MAE, "-b", "encoders.ViT.depht=3"],
            "encoders.ViT has no argument depht; did you mean depth?",
        ),
        (
            [*MAE, "-b", "encoders.VTi.depth=3"],
            "no component is called encoders.VTi; did you mean ViT?",
        ),
        ([*MAE, "-b", "method.Method.mask=@masks.Unform()"], "no component is called masks.Unform"),
        ([*MAE, "-b", "masks.Uniform.ratio=["], "a bracket or a quote is not closed"),
        ([*MAE, "-b", "DEPTH=deep"], "ViT.depth: expected int, got 'deep'"),
        (
            [*MAE, "-b", "encoders.ViT.hidden=drip"],
            "hidden: expected one of drop, token, add, mix, got 'drip'",
        ),
        (
            [*MAE, "-b", "tecaher/ViT.depth=3"],
            "tecaher/encoders.ViT.depth: nothing in this configuration uses it",
        ),
        ([*MAE, "-b", "RATIO"], "expected NAME=VALUE"),
        ([*MAE, "--wrokdir", "x"], "--wrokdir: no such option; did you mean --workdir?"),
        ([*MAE, "--mode", "trian"], "invalid choice: 'trian'"),
        ([], "--gin: expected a gin file, got none"),
        (
            ["--gin", "gin/base.gin"],
            "STEPS is not set; set it in a gin file or with -b 'STEPS = ...'",
        ),
        (["--gin", "gin/base.gin", "-b", "STEPS=1"], "Method.encoder is not set"),
    ],
)
def test_mistakes_are_answered_in_one_line(words, message, capsys, tmp_path, monkeypatch):
    if "--workdir" not in words and words[:1] != []:
        words = [*words, "--workdir", str(tmp_path / "run")]
    assert main(words) == 2
    shown = capsys.readouterr().err.strip()
    assert message in shown
    assert len(shown.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_last_one_wins_and_bare_words_are_strings():
    text = config.load(["gin/mae.gin"], ["RATIO=0.5", "RATIO=0.6", "DATA=some/folder"])
    assert "RATIO = 0.6" in text
    assert "DATA = 'some/folder'" in text


def test_short_form_of_a_binding(tmp_path, capsys):
    words = ["--gin.RATIO=0.5", "--mode", "explain", "--workdir", str(tmp_path)]
    assert main([*MAE, *words]) == 0
    assert "ratio 0.5" in capsys.readouterr().out


def test_operative_configuration_parses_back_to_itself(tmp_path):
    config.load(["gin/mae.gin"])
    config.build("train.Trainer", "method")
    first = config.operative()
    (tmp_path / "again.gin").write_text(first)
    with pytest.raises(ConfigError, match="no such file"):
        config.load(["nowhere.gin"])
    config.load([str(tmp_path / "again.gin")])
    config.build("train.Trainer", "method") if "Trainer.method" in first else config.build(
        "method.Method"
    )
    assert config.operative() == first


def test_every_shipped_file_is_listed(capsys):
    assert main(["--list"]) == 0
    said = capsys.readouterr().out
    assert re.search("mae +MAE: reconstruct", said)
    for path in Path("gin").rglob("*.gin"):
        assert path == Path("gin/base.gin") or re.search(
            rf"^  {path.relative_to('gin').with_suffix('')} ", said, re.M
        )


def test_shipped_files_are_listed_by_family(capsys):
    assert main(["--list"]) == 0
    groups = [text.splitlines() for text in capsys.readouterr().out.split("\n\n")]
    inside = {name: [line.split()[0] for line in lines] for name, *lines in groups}
    assert list(inside)[:2] == ["masked images", "masked clips"]
    assert {"mae", "simmim"} <= set(inside["masked images"])
    assert {"deepcluster", "swav"} <= set(inside["clustering"])
    assert "recipe/mae" in inside["recipes: the papers' settings at full scale"]


def test_a_file_without_a_family_is_listed_as_another(tmp_path, monkeypatch):
    (tmp_path / "mine.gin").write_text("RATIO = 0.5\n")
    header = "# Family: masked images\n# Ours\n# (Doe et al. 2030)\n#\n# And more.\n"
    (tmp_path / "ours.gin").write_text(header)
    monkeypatch.setattr(catalogue, "folders", lambda: [tmp_path])
    assert [each[:3] for each in catalogue.shipped()] == [
        ("ours", "masked images", "Ours (Doe et al. 2030)"),
        ("mine", "others", ""),
    ]


def test_a_slot_is_swapped_by_one_binding(tmp_path):
    small = ["BATCH=4", "DIM=12", "DEPTH=1", "STEPS=1", "Transformer.dim=12", "FineTune.steps=1"]
    small += ["Evaluation.train_images=20", "Evaluation.test_images=10", "Pictures.images=2"]
    small += ["probes.Linear.iterations=3"]
    words = config.flags([*small, "method.Method.mask=@masks.Block()"])
    assert main([*MAE, *words, "--workdir", str(tmp_path / "run")]) == 0


def test_a_misspelt_scope_of_the_last_file_is_refused(tmp_path, capsys):
    (tmp_path / "mine.gin").write_text(
        "include 'mae.gin'\nfrom __gin__ import dynamic_registration\n"
        "from pymim import encoders\nstudnet/encoders.ViT.depth = 3\n"
    )
    assert (
        main(
            [
                "--gin",
                str(tmp_path / "mine.gin"),
                "-b",
                "DIM=12",
                "--workdir",
                str(tmp_path / "run"),
            ]
        )
        == 2
    )
    assert (
        "studnet/encoders.ViT.depth: nothing in this configuration uses it"
        in capsys.readouterr().err
    )


def test_an_include_is_looked_for_beside_the_file_that_has_it(tmp_path):
    for folder, rate in (("inner", 1), ("outer", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "part.gin").write_text(f"RATIO = {rate}")
    (tmp_path / "inner" / "whole.gin").write_text("include 'part.gin'\n")
    (tmp_path / "outer" / "top.gin").write_text("include '../inner/whole.gin'\n")
    assert "RATIO = 1" in config.load([str(tmp_path / "outer" / "top.gin")])
    (tmp_path / "outer" / "both.gin").write_text(
        "include '../inner/whole.gin'\ninclude 'part.gin'\n"
    )
    assert "RATIO = 2" in config.load([str(tmp_path / "outer" / "both.gin")])


def test_a_reader_may_leave_before_the_list_ends():
    """As `--list | head -1` does."""
    read, write = os.pipe()
    os.close(read)
    words = [sys.executable, "-m", "pymim.run", "--list"]
    ended = subprocess.run(words, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (ended.returncode, ended.stderr) == (0, "")
