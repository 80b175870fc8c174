"""Run other gin files first: a teacher, a tokenizer, weights to start from.

A configuration names them in the macro STAGES, and has macros STAGE_1, STAGE_2, ... = None for
their results:

    STAGES = (('mae.gin', {'STEPS': 500}),)
    STAGE_1 = None
    encoders.Frozen.path = %STAGE_1

Each stage is a `python -m pymim.run` of its own, in RUN/stages/1-mae, and is resumed if it was
stopped. Its encoder is exported, and the macro names the export. `-b STAGE_1=PATH` replaces a
stage, which is then not run. A stage runs in one process, on one GPU, whatever torchrun started:
the other processes wait.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pymim import children
from pymim.errors import ConfigError, PymimError
from pymim.io.disk import write_whole
from pymim.world import PATIENCE, World

Bindings = dict[str, Any]
Entry = str | tuple[str | Bindings, ...]

# Macros that a stage inherits, so that it sees the data of the run.
DATA = ("DATA", "IMAGE", "CHANNELS", "CLIP", "STATISTICS", "SEED")
_STRING = r"""(['"])(?:\\.|(?!\1).)*\1"""
_OF_THE_LAUNCHER = (
    r"(RANK|LOCAL_RANK|WORLD_SIZE|LOCAL_WORLD_SIZE|GROUP_.*|ROLE_.*|MASTER_.*|TORCHELASTIC_.*)$"
)


class Stages:
    """The stages of a run.

    files: an entry for each stage: a gin file, as `--gin` takes it; or a tuple of gin files and of
        bindings of its own: 'NAME=VALUE', or a dict of names and values, which may be macros.

    A stage inherits from the run: DATA, with the arguments of a component that it names, IMAGE,
    CHANNELS, CLIP, STATISTICS and SEED; the macros of the command line that its configuration has
    too; and STAGE_1 and so on of the stages before it, if it has no stages of its own. Bindings in
    its entry win. START is never inherited.
    """

    def __init__(self, files: str | Sequence[Entry] = ()):
        self.files = [files] if isinstance(files, str) else list(files)


class Stage(NamedTuple):
    """Hold one stage: its number, from 1, the words of its entry, and its folder."""

    number: int
    words: list[str]
    folder: Path

    @classmethod
    def of(cls, number: int, entry: Entry, run: Path) -> Stage:
        """Read an entry of STAGES. Raises: ConfigError if it names no gin file."""
        parts = (entry,) if isinstance(entry, str) else entry
        words = [word for part in parts for word in _words(part)]
        names = [Path(word).stem for word in words if word.endswith(".gin")]
        if not names:
            raise ConfigError(f"STAGES: expected a gin file in each entry, got {entry!r}; name one")
        return cls(number, words, run.resolve() / "stages" / f"{number}-{names[-1]}")

    @property
    def files(self) -> list[str]:
        """The gin files of the entry."""
        return [word for word in self.words if word.endswith(".gin")]

    @property
    def macro(self) -> str:
        """The macro that names the result."""
        return f"STAGE_{self.number}"

    @property
    def encoder(self) -> Path:
        """The folder of its exported encoder, once it has run."""
        return self.folder / "export"

    @property
    def done(self) -> Path:
        """The file that is written once the encoder is exported; other processes wait for it."""
        return self.folder / "stage.json"


def _words(part: str | Bindings) -> list[str]:
    return (
        [part] if isinstance(part, str) else [f"{name}={value!r}" for name, value in part.items()]
    )


def load(
    files: Sequence[str],
    bindings: Sequence[str],
    folder: Path,
    training: bool,
    root: str,
    staged: list[tuple[Stage, list[str]]] | None = None,
) -> tuple[str, set[str]]:
    """Load a configuration with its stages bound, after running them if `training`.

    staged: receives each stage that runs first, and the words of its command.

    Returns the configuration as one text, and the macros of the command line that a stage inherits.

    Raises: ConfigError; Stopped if a signal stopped a stage; PymimError with a failed stage's exit
    code.
    """
    from pymim import config

    bound = list(bindings)
    text = config.load(files, bound)
    entries = (
        [] if config.value(root, "stages", None) is None else config.build(root, "stages").files
    )
    # A run with a config.gin has finished its stages.
    running = bool(training and entries) and not (folder / "config.gin").exists()
    if running:
        # Before the first process makes a folder that the others look for.
        World.meet(config.value(root, "patience", PATIENCE))
    taken = _taken(entries, text, bound, folder) if entries else set()
    if entries:
        config.load(files, bound)
        config.check_used((), bindings, root, taken)  # before a stage is trained
    for number in range(1, len(entries) + 1):
        stage = Stage.of(number, config.build(root, "stages").files[number - 1], folder)
        if macros(text).get(stage.macro, "None") != "None":
            continue
        if running:
            words = passed(stage, text, bound)
            World.current().led(lambda stage=stage, words=words: _make(stage, words))  # type: ignore[misc]
        if staged is not None:
            staged.append((stage, [*stage.words, *passed(stage, text, bound)]))
        bound.append(f"{stage.macro}={str(stage.encoder)!r}")
        text = config.load(files, bound)
    return text, taken


def _taken(entries: Sequence[Entry], text: str, bound: Sequence[str], folder: Path) -> set[str]:
    """Return the macros that stages without an encoder inherit."""
    every = [Stage.of(number, entry, folder) for number, entry in enumerate(entries, 1)]
    wanting = [stage for stage in every if macros(text).get(stage.macro, "None") == "None"]
    return {word.partition("=")[0] for stage in wanting for word in passed(stage, text, bound)}


def passed(stage: Stage, text: str, bound: Sequence[str], root: str = "train.Trainer") -> list[str]:
    """Return the bindings of the run that the stage inherits: of macros that it reads."""
    from pymim import config

    files, own = stage.files, [word for word in stage.words if word not in stage.files]
    theirs, ours = macros(config.load(files, own)), macros(text)
    kept = {*macros("\n".join(own)), "STAGES", "START"}
    if theirs.get("STAGES", "()") != "()":
        kept |= {name for name in theirs if re.fullmatch(r"STAGE_\d+", name)}
    data = {name: ours[name] for name in DATA if name in ours and ours[name] != theirs.get(name)}
    passed = data | macros("\n".join(bound))
    words = {
        name: f"{name}={value}"
        for name, value in passed.items()
        if name in theirs and name not in kept
    }
    config.load(files, [*own, *words.values()])
    read = config.reads(root).macros
    source = [word for part in _named(words.get("DATA", "")) for word in _arguments(part, text)]
    return [word for name, word in words.items() if name in read] + source


def _named(value: str) -> list[str]:
    """Return the components that a value refers to."""
    return re.findall(r"@([\w.]+)", value)


def _arguments(component: str, text: str) -> list[str]:
    """Return the bindings of a component in a gin text, without those that read macros."""
    from pymim import config

    own = {
        name: value
        for name, value in config.bindings(text).items()
        if name.rpartition(".")[0] == component
    }
    return [
        f"{name} = {value}" for name, value in own.items() if "%" not in re.sub(_STRING, "", value)
    ]


def macros(text: str) -> dict[str, str]:
    """Map every macro in a gin text to its value as written, in one line."""
    from pymim import config

    return {
        name: value
        for name, value in config.bindings(text).items()
        if re.fullmatch(r"[A-Z][A-Z0-9_]*", name)
    }


def _make(stage: Stage, passed: list[str]) -> None:
    from pymim import config

    words = ["--workdir", str(stage.folder), "--resume", "auto"]
    command = [sys.executable, "-m", "pymim.run", *config.flags([*stage.words, *passed]), *words]
    if (made := _made(stage)) is not None:
        if made != command[3:]:
            _say(
                stage,
                "was made by another command and is kept; use a new --workdir to make it again",
            )
        return
    trust = config.trust_flag()
    _say(stage, shlex.join([*command, *trust]))
    began = time.perf_counter()
    _call(stage, [*command, *trust])
    _call(stage, [*command[:3], "export", str(stage.folder), "--to", str(stage.encoder), *trust])
    seconds = time.perf_counter() - began
    write_whole(stage.done, json.dumps({"command": command[3:], "seconds": round(seconds, 1)}))
    _say(stage, f"done in {seconds:.0f} s")


def _made(stage: Stage) -> list[str] | None:
    """Read the command that made the stage; None if it is not done, or its file is damaged."""
    try:
        return list(json.loads(stage.done.read_text())["command"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _call(stage: Stage, command: list[str]) -> None:
    """Run a command outside the launcher's group; a signal to this process is passed on."""
    alone = {
        name: value for name, value in os.environ.items() if not re.match(_OF_THE_LAUNCHER, name)
    }
    where = f"in stage {stage.folder.name}; --resume auto continues it"
    code = children.call(command, where, sys.stderr, alone)
    if code:
        error = PymimError(
            f"{stage.folder.name}: ended with exit code {code}; run it alone: {shlex.join(command)}"
        )
        error.exit_code = code
        raise error


def _say(stage: Stage, text: str) -> None:
    print(f"stage {stage.folder.name}: {text}", file=sys.stderr, flush=True)  # noqa: T201
