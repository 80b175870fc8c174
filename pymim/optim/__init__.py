"""Optimisers, schedules, averages."""

from pymim.optim.adamw import AdamW, Group
from pymim.optim.average import Average, Momentum
from pymim.optim.schedule import Constant, Cosine, Linear, Stairs

__all__ = ["AdamW", "Average", "Constant", "Cosine", "Group", "Linear", "Momentum", "Stairs"]
