"""Save a run every few steps, and when it is stopped or its data fail between two steps."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from pymim import signals
from pymim.errors import DataError, Lost
from pymim.io import checkpoint
from pymim.world import explained

if TYPE_CHECKING:
    from pymim.train import Trainer


class Keeper:
    """Save the state of a trainer under `folder`; `last` is the last saved step, or None."""

    def __init__(self, trainer: Trainer, folder: Path, first: int):
        self.trainer, self.folder = trainer, folder
        self.last = first or None

    def save(self, step: int) -> None:
        """Write the checkpoint of this step."""
        trainer = self.trainer
        meta = {
            **{
                "steps": trainer.steps,
                "batch": trainer.batch,
                "seed": trainer.seed,
                "world": trainer.world.size,
            },
            **{"images": trainer.images, "progress": trainer.progress.state()},
        }
        checkpoint.save(self.folder, step, trainer.state, trainer.stepper, meta, trainer.keep)
        self.last = step

    def where(self, step: int) -> str:
        """Say how far a run has come after `step` steps, and where a resumed run continues."""
        if self.last is None:
            return "before a step was saved; the same command starts again"
        kept = "which is saved" if step == self.last else f"the last saved step is {self.last}"
        return f"after step {step}, {kept}; --resume auto continues the run"

    @contextlib.contextmanager
    def between(self, step: int) -> Iterator[None]:
        """Save the `step` finished steps if the block is stopped or its data fail.

        Nothing is saved if the block changed what a checkpoint holds: the step is then half done.

        Raises: Stopped or DataError, with the step that was saved.
        """
        mark = Mark(self.trainer.state, self.trainer.stepper)
        try:
            yield
        except signals.Asked as asked:
            self._rescue(step, mark, asked.together)
            raise asked.error(self.where(step)) from None
        except DataError as error:
            self._rescue(step, mark)
            raise (
                error if self.last is None else DataError(f"{error} ({self.where(step)})")
            ) from error

    @contextlib.contextmanager
    def among_others(self) -> Iterator[None]:
        """Treat a failure as a stop if another process was asked to stop and left.

        Raises: Stopped; Lost if a process is gone; for a process that failed, an error with its
        message and exit code.
        """
        try:
            with explained():
                yield
        except signals.Asked as asked:
            raise asked.error(self.where(self.trainer.step)) from asked
        except Lost as lost:
            raise Lost(f"{lost} ({self.where(self.trainer.step)})") from lost

    def _rescue(self, step: int, mark: Mark, together: bool = False) -> None:
        if step and step != self.last and (together or self.trainer.world.size == 1):
            if self.trainer.world.any(not mark.holds()):
                return
            self.save(step)


class Mark:
    """Detect whether a run's tensors were changed, by the version counters torch keeps for them."""

    def __init__(self, state: nn.Module, stepper: torch.optim.Optimizer):
        self.state, self.stepper = state, stepper
        self.seen = self._versions()

    def holds(self) -> bool:
        """Say whether no tensor was written or replaced, and no optimiser state dropped."""
        return self.seen == self._versions()

    def _versions(self) -> tuple[int, list[tuple[int, int]]]:
        tensors = [*self.state.parameters(), *self.state.buffers()]
        return len(self.stepper.state), [(id(tensor), tensor._version) for tensor in tensors]
