"""Write the two lines that every run begins with: its training data and its evaluation data."""

from __future__ import annotations

from typing import Any

from pymim.data.about import describe, untested
from pymim.data.source import Source


def trains_on(source: Source, items: str = "pictures") -> str:
    """Describe the data that a run trains on."""
    return f"trains on {describe(source, items)}"


def evaluates_on(source: Source, evaluation: Any, items: str = "pictures") -> str:
    """Describe the data that a run evaluates on. Raises: DataError if they cannot be read.

    source: the training data. evaluation: the run's evaluation, whose `opener` opens its data; an
        object without one is only named.
    """
    if evaluation is None:
        return "evaluates on nothing: no train.Trainer.evaluate is set"
    opener = getattr(evaluation, "opener", None)
    if opener is None:
        return f"evaluates by {type(evaluation).__name__}"
    test = opener.show()
    return (
        f"evaluates on {describe(test, items)}"
        if test
        else f"evaluates on nothing: {untested(source)}"
    )
