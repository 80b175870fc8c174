"""Define what a run offers to the hooks and callbacks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from torch import nn

if TYPE_CHECKING:
    from pymim.data import Loader
    from pymim.method import Method
    from pymim.world import World


class Run(Protocol):
    """What a hook may use of the run that calls it. `Trainer` is one."""

    step: int  # steps done
    steps: int
    seed: int
    batch: int
    loader: Loader  # source, steps_per_epoch, regroup(groups), pair(table), in_order(views, batch)
    method: Method
    world: World  # rank, size, device, group, leads, heed()

    @property
    def epoch(self) -> float:
        """Passes over the training set so far: images seen, divided by its pictures."""

    def forget(self, parameters: Iterable[nn.Parameter]) -> None:
        """Drop the optimiser's state of these parameters."""

    def report(self, name: str, **facts: float) -> None:
        """Write a row of facts to NAME.jsonl in the run's folder, and print it."""
