"""What the comments of gin files tell a reader to give, works: every command and every -b."""

import re
import shlex
from pathlib import Path

import pytest

from pymim import config
from pymim.run import main
from tests.launch import BARE
from tests.test_gin import USED_BY, small_of

ROOT = Path(__file__).parent.parent.parent
TUNING = {
    "finetune",
    "probe",
}  # their commands are run by tests/test_tune.py, behind a run of its own
FILES = [path for path in sorted((ROOT / "gin").rglob("*.gin")) if path.parent.name not in TUNING]
WORD = r"""(?:'[^']*'|"[^"]*"|[^\s'"])+"""
INSTRUCTION = re.compile(rf"((?:--gin +[\w./]+\.gin\b *)*)((?: *-b +{WORD})*)")
# What the reader replaces. --mode explain opens no weights and no data, so these may stay.
ANYTHING = re.compile(r"=(\.\.\.|PATH)$")


def comments(path):
    """The text of each run of comment lines, and of each comment behind a binding."""
    runs, run = [], []
    for line in path.read_text().splitlines():
        text = re.match(r"# ?(.*)", line)
        if text:
            run.append(text[1])
            continue
        runs += [" ".join(run)] if run else []
        run = []
        behind = re.match(r"""(?:'[^']*'|"[^"]*"|[^#'"])*# ?(.*)""", line)
        runs += [behind[1]] if behind else []
    return runs + [" ".join(run)] * bool(run)


def instructions(path):
    """Yield files and bindings of each command or group of bindings in a file's comments."""
    for text in comments(path):
        for found in INSTRUCTION.finditer(text):
            files = [word for word in found[1].split() if word != "--gin"]
            bindings = [
                re.sub(r"(?<!\.)[.,:;]$", "", word)
                for word in shlex.split(found[2])
                if word != "-b"
            ]
            if files or bindings:
                yield tuple(files), tuple(bindings)


GIVEN = sorted({(path, *found) for path in FILES for found in instructions(path)})


def words(path, files, bindings):
    """Return the command line of an instruction.

    One that names no file, or only parts, is for the file that contains it.
    """
    name = str(path.relative_to(ROOT))
    part = str(path.relative_to(ROOT / "gin"))
    alone = path.parent.name in ("gin", "recipe")
    paper, more = (None, ()) if alone else USED_BY.get(part, ("mae", []))
    name = "gin/mae.gin" if path.stem == "base" and alone else name
    given = [ANYTHING.sub("=somewhere", binding) for binding in bindings]
    needed = (
        []
        if paper is None
        else [*more, "IMAGE=224", *(["DATA=somewhere"] if path.parent.name == "data" else [])]
    )
    taken = {binding.partition("=")[0] for binding in given}
    needed = [binding for binding in needed if binding.partition("=")[0] not in taken]
    parts = all(Path(file).parent.name in ("model", "data") for file in files)
    beside = (name,) if paper is None else (f"gin/{paper}.gin", name)
    used = [*(beside if parts else ()), *files]
    return config.flags([*used, *needed, *given])


def named(value):
    return value.stem if isinstance(value, Path) else " ".join(map(str, value)) or "-"


@pytest.mark.parametrize(("path", "files", "bindings"), GIVEN, ids=named)
def test_every_command_in_a_comment_can_be_explained(path, files, bindings, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert (
        main([*words(path, files, bindings), "--mode", "explain", "--workdir", str(tmp_path)]) == 0
    )


LOOK = [
    "Evaluation.probes=(@probes.KNN(),)",
    "Evaluation.train_images=20",
    "Evaluation.test_images=10",
    BARE[1],
]
TRAINED = [
    (path, files, bindings)
    for path, files, bindings in GIVEN
    if path.parent.name == "gin"
    and path.stem != "base"
    and bindings
    and not any(map(ANYTHING.search, bindings))
]


@pytest.mark.parametrize(("path", "files", "bindings"), TRAINED, ids=named)
def test_every_command_in_a_comment_of_a_small_run_trains_a_step(
    path, files, bindings, tmp_path, monkeypatch
):
    monkeypatch.chdir(ROOT)
    taken = {binding.partition("=")[0] for binding in bindings}
    taken |= {"DIM", "DEPTH", "HEADS"} if "TRUNK=@encoders.ResNet()" in bindings else set()
    looks = LOOK if any("evaluate" in binding for binding in bindings) else BARE
    less = [binding for binding in small_of(path.stem) if binding.partition("=")[0] not in taken]
    given = [
        re.sub("^((STAGE_)?STEPS)=.*", r"\1=1", binding) for binding in [*bindings, *less, *looks]
    ]
    assert main([*words(path, files, tuple(given)), "--workdir", str(tmp_path)]) == 0


def test_the_scan_finds_what_is_written():
    assert len(GIVEN) >= 40 and len(TRAINED) >= 8
    folders = {path.parent.name for path, _, _ in GIVEN}
    assert folders == {"gin", "recipe", "model", "data"}
    hpm = [found for path, *found in GIVEN if path.stem == "hpm" and path.parent.name == "recipe"]
    larger = (("gin/recipe/hpm.gin", "gin/model/large.gin"), ())
    longer = ((), ("BATCH=256", "EPOCHS=800", "STEPS=4003200", "optim.AdamW.warmup=0.05"))
    assert {tuple(each) for each in hpm} == {larger, longer, ((), ("DATA=...",))}


@pytest.mark.parametrize("path", FILES, ids=named)
def test_an_instruction_is_read_as_written(path):
    """Not as prose, which nothing can run: include this file, set that name to this."""
    for text in comments(path):
        prose = INSTRUCTION.sub(" ", text)
        assert not re.search(
            r"\binclude |(?<!gin/)\bmodel/\w+\.gin|\b[A-Z][A-Z_0-9]+ ?= ?\S", prose
        ), prose
