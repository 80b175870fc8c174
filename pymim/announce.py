"""Print what a run is before it begins."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from pymim.data import lines
from pymim.loop import pieces
from pymim.precision import EMULATED, WORDS, emulates

if TYPE_CHECKING:
    from pymim.io import Folder
    from pymim.train import Trainer


def show(text: str) -> None:
    """Print a command's answer, or what of it a reader such as `head` takes before it leaves."""
    try:
        print(text, flush=True)  # noqa: T201
    except BrokenPipeError:
        # Python flushes once more when it ends; there it must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def begins(trainer: Trainer, folder: Folder, first: int) -> None:
    """Print what is trained, for how many steps, with which rate, precision and data."""
    if not trainer.world.leads:
        return
    parameters = sum(p.numel() for p in trainer.method.parameters() if p.requires_grad)
    peak = max(
        trainer.optimizer.schedule(trainer.batch)(s, trainer.steps)
        for s in range(trainer.steps + 1)
    )
    print(  # noqa: T201
        f"{folder.path}: {parameters / 1e6:.1f} M parameters, "
        f"{len(trainer.loader.source):,} {trainer.encoder.items}, "
        f"steps {first} to {trainer.steps} of global batch {trainer.batch} "
        f"({trainer.world.size} process(es)), peak learning rate {peak:.2e}, "
        f"{WORDS[trainer.precision]} on {trainer.world.device}",
        file=sys.stderr,
    )
    if trainer.precision == "bf16" and emulates(trainer.world.device):
        print(EMULATED, file=sys.stderr)  # noqa: T201
    if line := pieces.changes(trainer):
        print(line, file=sys.stderr)  # noqa: T201
    if normalise := getattr(trainer.loader.views[0], "normalise", None):
        print(f"pixels: {normalise}", file=sys.stderr)  # noqa: T201
    data(trainer)


def data(trainer: Trainer) -> None:
    """Print what the run trains on and evaluates on, and what was left out."""
    if trainer.world.leads:
        source, items = trainer.loader.source, trainer.encoder.items
        print(lines.trains_on(source, items), file=sys.stderr)  # noqa: T201
        print(lines.evaluates_on(source, trainer.evaluate, items), file=sys.stderr)  # noqa: T201
