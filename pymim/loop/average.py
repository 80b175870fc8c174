"""Find the average of the encoder that a run keeps."""

from __future__ import annotations

from pymim.encoders.average import Average, followed
from pymim.errors import ConfigError
from pymim.method import Method

TEACHER = "teacher"  # the value of `average` that means the method's own momentum copy


def average_of(method: Method, average: float | str | None) -> Average | None:
    """Make the encoder's average, or find the momentum copy the method keeps; None for no average.

    Raises: ConfigError if `average` is "teacher" and the method has no momentum copy.
    """
    if average is None:
        return None
    if average != TEACHER:
        return Average(method.encoder)
    if (found := followed(method.children(), method.encoder)) is None:
        raise ConfigError(
            "Trainer: average: expected a method with a momentum copy of its encoder "
            "(encoders.Momentum), got one without; set a momentum, such as 0.999, or None"
        )
    return found
