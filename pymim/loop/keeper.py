"""When a run is saved: every so many steps, and where it is stopped or its data fail between two of them."""

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
    """Saves the state of a trainer under `folder`; `last` is the step that was saved, None where none is."""

    def __init__(self, trainer: Trainer, folder: Path, first: int):
        self.trainer, self.folder = trainer, folder
        self.last = first or None

    def save(self, step: int) -> None:
        """Write the checkpoint of this step."""
        trainer = self.trainer
        meta = {
            **{"steps": trainer.steps, "batch": trainer.batch, "seed": trainer.seed, "world": trainer.world.size},
            **{"images": trainer.images, "progress": trainer.progress.state()},
        }
        checkpoint.save(self.folder, step, trainer.state, trainer.stepper, meta, trainer.keep)
        self.last = step

    def told(self, step: int) -> str:
        """Say where a run stands that has done `step` steps, and from where it goes on."""
        if self.last is None:
            return "before a step was saved: the same command begins again"
        kept = "which is saved" if step == self.last else f"of which {self.last} are saved"
        return f"after step {step}, {kept}; --resume auto goes on"

    @contextlib.contextmanager
    def between(self, step: int) -> Iterator[None]:
        """Between two steps, `step` of which are done: where this is stopped, or its data fail, they are saved if
        nothing that a checkpoint holds was changed since. Raises Stopped or DataError, which say so."""
        mark = Mark(self.trainer.state, self.trainer.stepper)
        try:
            yield
        except signals.Asked as asked:
            self._rescue(step, mark, asked.together)
            raise asked.error(self.told(step)) from None
        except DataError as error:
            self._rescue(step, mark)
            raise error if self.last is None else DataError(f"{error} ({self.told(step)})") from error

    @contextlib.contextmanager
    def among_others(self) -> Iterator[None]:
        """Where another process was asked to stop, and left, what fails here is no failure.

        Raises: Stopped; Lost where one is gone; where one failed, an error with its words and exit code.
        """
        try:
            with explained():
                yield
        except signals.Asked as asked:
            raise asked.error(self.told(self.trainer.step)) from asked
        except Lost as lost:
            raise Lost(f"{lost} ({self.told(self.trainer.step)})") from lost

    def _rescue(self, step: int, mark: Mark, together: bool = False) -> None:
        if step and step != self.last and (together or self.trainer.world.size == 1):
            if self.trainer.world.any(not mark.holds()):
                return
            self.save(step)


class Mark:
    """Whether the tensors of a run are as they were, as torch counts what is written in place."""

    def __init__(self, state: nn.Module, stepper: torch.optim.Optimizer):
        self.state, self.stepper = state, stepper
        self.seen = self._versions()

    def holds(self) -> bool:
        """Whether nothing was written or replaced since, and nothing of the optimiser's forgotten."""
        return self.seen == self._versions()

    def _versions(self) -> tuple[int, list[tuple[int, int]]]:
        tensors = [*self.state.parameters(), *self.state.buffers()]
        return len(self.stepper.state), [(id(tensor), tensor._version) for tensor in tensors]
