"""Optimisers, schedules, averages."""

from pymim.optim.adamw import AdamW
from pymim.optim.average import Average
from pymim.optim.schedule import Constant, Cosine, Linear

__all__ = ["AdamW", "Average", "Constant", "Cosine", "Linear"]
