"""Optimisers, schedules, averages."""

from pymim.optim.adamw import AdamW
from pymim.optim.average import Average, Momentum
from pymim.optim.recipe import Group, Recipe
from pymim.optim.schedule import Constant, Cosine, Linear, Stairs
from pymim.optim.sgd import SGD

__all__ = ["SGD", "AdamW", "Average", "Constant", "Cosine", "Group", "Linear", "Momentum", "Recipe", "Stairs"]
