"""Call a run's evaluation and its drawing: every so many steps, and when the run ends."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from pymim.contracts import Callback
from pymim.loop.keeper import Keeper

if TYPE_CHECKING:
    from pymim.train import Trainer


class Callbacks:
    """Keep pairs of a callback and the number of steps between two calls; 0: at the end alone."""

    def __init__(self, *pairs: tuple[Callback | None, int]) -> None:
        self.pairs = [(callback, every) for callback, every in pairs if callback is not None]

    def prepare(self, trainer: Trainer) -> None:
        """Let the first process prepare each callback that has a method `before_run`."""
        for callback, _ in self.pairs:
            if prepare := getattr(callback, "before_run", None):
                trainer.world.led(functools.partial(prepare, trainer))

    def call(self, trainer: Trainer, keeper: Keeper, step: int) -> None:
        """Let the first process call what is due after `step`."""
        for callback, every in self.pairs:
            if step == trainer.steps or (every and step % every == 0):
                with keeper.between(step):
                    trainer.world.led(functools.partial(callback, trainer, trainer.folder, step))
