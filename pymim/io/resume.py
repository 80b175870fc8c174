"""Going back to a checkpoint; where that cannot be, which knobs differ from those of its run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pymim.errors import ConfigError

if TYPE_CHECKING:
    from pymim.train import Trainer


def restore(trainer: Trainer, path: Path, text: str) -> int:
    """Go back to a checkpoint; give its step.

    text: the configuration of now.
    Raises: ConfigError where the checkpoint does not fit, with what its run's config.gin says otherwise.
    """
    from pymim import config

    try:
        return trainer.restore(path)
    except ConfigError as error:
        saved = path.parent.parent / "config.gin"
        changed = config.changed(saved.read_text(), text) if saved.exists() else []
        raise ConfigError(f"{error}: {', '.join(changed)}" if changed else str(error)) from error


def go_on(trainer: Trainer, path: Path, text: str) -> int:
    """Go back to a checkpoint to train on; give its step. Raises: ConfigError where that is beyond the last."""
    first = restore(trainer, path, text)
    if first > trainer.steps:
        raise ConfigError(
            f"resume: {path}: expected train.Trainer.steps of {first} or more, as it has done {first} steps, got "
            f"{trainer.steps}; set STEPS to more, or begin a new run in another --workdir"
        )
    return first
