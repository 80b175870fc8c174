"""List the hooks of a run; any part may define them."""

from __future__ import annotations

from torch import nn

from pymim.contracts.inputs import Batch
from pymim.contracts.predicted import Output
from pymim.contracts.run import Run


class Hooks:
    """All hooks, doing nothing. A part inherits this, or defines the hooks it needs.

    A method that begins with before_ or after_ and is none of these is refused when the method is
    built.
    """

    def before_load(self, run: Run) -> None:
        """Resize buffers that have one row per image, so that a checkpoint fits into them."""

    def before_run(self, run: Run) -> None:
        """Prepare: read a file, make a pass over the data. The weights are the run's first ones."""

    def before_epoch(self, run: Run) -> None:
        """Update what changes between epochs, such as cluster assignments.

        Called every `loader.steps_per_epoch` steps, the whole steps of a pass over the training
        set, so `run.epoch` need not be a whole number.
        """

    def before_step(self, run: Run) -> None:
        """Update what changes within an epoch."""

    def after_forward(self, batch: Batch, output: Output) -> None:
        """Keep something of the output of a batch, or of a piece of one."""

    def after_step(self, encoder: nn.Module, step: int) -> None:
        """Follow the encoder after the optimiser's step, as a momentum copy does."""


HOOKS = tuple(name for name in vars(Hooks) if name.startswith(("before_", "after_")))
