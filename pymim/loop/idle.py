"""Find the parameters that no loss reaches."""

from __future__ import annotations

from pymim.contracts import Output
from pymim.method import Method


class Idle:
    """Search once, after the backward pass of a step in which no objective rests."""

    def __init__(self) -> None:
        self._searched = False

    def report(self, method: Method, output: Output) -> str | None:
        """Return a line that names the parameters without a gradient; None if there are none."""
        resting = any(one.name not in output.losses for one in method.objectives)
        if self._searched or resting:
            return None
        self._searched = True
        idle = [name for name, p in method.named_parameters() if p.requires_grad and p.grad is None]
        return (
            f"no loss reaches {', '.join(idle)}: these parameters will not change" if idle else None
        )
