"""The average of the encoder that a run keeps."""

from __future__ import annotations

from pymim.encoders.average import Average, followed
from pymim.errors import ConfigError
from pymim.method import Method

TEACHER = "teacher"  # as an average: the method's own momentum copy


def average_of(method: Method, average: float | str | None) -> Average | None:
    """The average of the encoder that is kept, or that the method keeps. Raises ConfigError where it keeps none."""
    if average is None:
        return None
    if average != TEACHER:
        return Average(method.encoder)
    if (found := followed(method.children(), method.encoder)) is None:
        raise ConfigError(
            "Trainer: average: expected a method with a momentum copy of its encoder (encoders.Momentum), got one "
            "without; give a momentum, such as 0.999, or None"
        )
    return found
