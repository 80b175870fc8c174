"""Resume a run: choose the checkpoint, set later files aside, and report what has changed."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from pymim.errors import ConfigError, PymimError
from pymim.io.seal import Damaged
from pymim.stages import DATA, macros

if TYPE_CHECKING:
    from pymim.io import Folder
    from pymim.train import Trainer


def goes_on(folder: Folder, resume: str) -> bool:
    """Say whether --resume finds a checkpoint: a run killed before its first one starts again."""
    from pymim.io import checkpoint

    return resume != "never" and (resume != "auto" or bool(checkpoint.begun(folder.checkpoints)))


def load(trainer: Trainer, folder: Folder, resume: str, text: str) -> int:
    """Restore a checkpoint to evaluate or draw; return its step.

    It is the newest complete one, or the one that is named.
    """
    from pymim.io import checkpoint

    if resume in ("auto", "never"):
        return checkpoint.restore_newest(folder.path, lambda path: _fitting(trainer, path, text))[1]
    return _fitting(trainer, _named(resume), text)


def restore(trainer: Trainer, folder: Folder, resume: str, now: Mapping[str, str]) -> int:
    """Restore every process from the checkpoint that --resume names; return its step.

    The first process chooses, and reports what differs from the configuration that computed the
    step. Files of later steps in the run's folder are set aside and reported. A checkpoint from
    elsewhere is copied into the folder, so that the run continues from there if it is killed before
    it saves. The folder's configuration becomes the current one.

    now: the current configuration, by name (`io.history`).

    Raises: ConfigError if no checkpoint is complete, it has another configuration, or its step is
    past the last; Unwritable.
    """
    chosen: list[Any] = [None, 0, None]
    if trainer.world.leads:
        try:
            chosen[:2] = _begin(trainer, folder, resume, now)
        except PymimError as error:
            chosen[2] = error
    if trainer.world.size > 1:
        torch.distributed.broadcast_object_list(chosen)
    path, step, failure = chosen
    if failure is not None:
        raise failure
    return step if trainer.world.leads else trainer.restore(path)


def _begin(
    trainer: Trainer, folder: Folder, resume: str, now: Mapping[str, str]
) -> tuple[Path, int]:
    """Restore the first process, and bring the run's folder to this step."""
    from pymim.io import aside, history
    from pymim.io.disk import writing

    path, step = _chosen(trainer, folder, resume, now["config"])
    before = history.texts(_run_of(path), step)
    saved = before.get("config", "")
    for line in differences(trainer, path, saved, now["config"]):
        say(line)
    if saved:
        _show(saved, now["config"])
    with writing(folder / "aside", 0):
        later = aside.move(folder.path, step) + aside.adopt(folder.path, path, step)
        kept = history.write(folder, step, before, now)
    if later:
        where = f"set aside in {folder / 'aside'} until the run has passed it"
        say(f"continues from step {step}; later steps are {where}: {', '.join(later)}")
    if kept:
        say(f"the configuration up to step {step} is kept in {folder / kept[0]}")
    return path, step


def _chosen(trainer: Trainer, folder: Folder, resume: str, text: str) -> tuple[Path, int]:
    """Restore what --resume means; return the checkpoint and its step.

    Raises: ConfigError if the step is past the last.
    """
    from pymim.io import checkpoint

    if resume == "auto":
        path, step = checkpoint.restore_newest(
            folder.path, lambda path: _fitting(trainer, path, text)
        )
    else:
        path, step = _named(resume), _fitting(trainer, _named(resume), text)
    if step > trainer.steps:
        raise ConfigError(
            f"resume: {path}: expected train.Trainer.steps of {step} or more, as the run has done "
            f"{step} steps, got {trainer.steps}; raise STEPS, or begin a new run in another "
            "--workdir"
        )
    return path, step


def _run_of(path: Path) -> Path:
    """Return the folder of the run that a checkpoint belongs to."""
    return path.resolve().parent.parent


def _show(saved: str, now: str) -> None:
    """Print the differences between the saved and the current configuration."""
    for line in difflib.unified_diff(
        saved.splitlines(), now.splitlines(), "saved", "now", lineterm="", n=0
    ):
        print(f"config: {line}", file=sys.stderr)  # noqa: T201


def _fitting(trainer: Trainer, path: Path, text: str) -> int:
    """Restore a checkpoint; return its step.

    Raises: Damaged; ConfigError if it does not fit, with the settings that changed since.
    """
    from pymim import config
    from pymim.io import checkpoint, history

    try:
        return trainer.restore(path)
    except Damaged:
        raise
    except ConfigError as error:
        saved = history.at(_run_of(path), checkpoint.peek(path).get("step", 0))
        changed = config.changed(saved.read_text(), text) if saved.exists() else []
        raise ConfigError(f"{error}: {', '.join(changed)}" if changed else str(error)) from error


def differences(trainer: Trainer, path: Path, made: str, text: str) -> list[str]:
    """Report what changes the result of a resumed run: data, seed, batch, processes.

    path: the checkpoint. made: the configuration that made it, or "". text: the current one.
    """
    from pymim.io import checkpoint

    saved = checkpoint.peek(path)
    before, now = macros(made), macros(text)
    pairs: dict[str, tuple[Any, Any]] = {
        name: (before.get(name), now.get(name)) for name in DATA if name != "SEED" and before
    }
    pairs |= {
        "SEED": (saved.get("seed"), trainer.seed),
        "BATCH": (saved.get("batch"), trainer.batch),
    }
    lines = [
        f"{name} was {old} and is {new} now: the run will end differently"
        for name, (old, new) in pairs.items()
        if old != new and (before or old is not None)
    ]
    processes = saved.get("world", trainer.world.size)
    if processes != trainer.world.size:
        lines.append(
            f"processes were {processes} and are {trainer.world.size} now: {_limit(trainer)}"
        )
    return lines


def _limit(trainer: Trainer) -> str:
    """Say what another number of processes changes: the order of sums, and with it rounding."""
    limit = "the same steps up to rounding, not bit for bit: sums are taken in another order"
    shares = trainer.world.device.type == "cpu" and any(
        isinstance(part, nn.modules.batchnorm._BatchNorm) for part in trainer.method.modules()
    )
    return limit + ("; batch norms on CPUs see a process's share of the batch" if shares else "")


def say(line: str) -> None:
    """Print a line about resuming."""
    print(f"resume: {line}", file=sys.stderr)  # noqa: T201


def _named(resume: str) -> Path:
    path = Path(resume)
    if not path.is_dir():
        raise ConfigError(
            "--resume: expected auto, never or the folder of a checkpoint, with meta.json, got "
            f"{resume}; write auto for the newest"
        )
    return path
