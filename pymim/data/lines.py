"""The two lines that every run begins with: what it trains on, and what it evaluates on."""

from __future__ import annotations

from typing import Any

from pymim.data import opening
from pymim.data.about import describe, untested
from pymim.data.source import Source


def trains_on(source: Source, items: str = "pictures") -> str:
    """Say what a run trains on."""
    return f"trains on {describe(source, items)}"


def evaluates_on(source: Source, evaluation: Any, items: str = "pictures") -> str:
    """Say what is evaluated on; raises DataError where it cannot be read, before the training.

    source: what is trained on. evaluation: what the run evaluates by, with the `source`, `channels` and `clip` that
    `data.open` takes; anything else is not looked into.
    """
    if evaluation is None:
        return "evaluates on nothing: no train.Trainer.evaluate is set"
    given = getattr(evaluation, "source", None)
    if given is None:
        return f"evaluates by {type(evaluation).__name__}"
    test = opening.open(given, "test", evaluation.channels, evaluation.clip)
    return f"evaluates on {describe(test, items)}" if test else f"evaluates on nothing: {untested(source)}"
