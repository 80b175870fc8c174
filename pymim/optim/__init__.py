"""Optimisers for a whole method."""

from pymim.optim.adamw import AdamW
from pymim.optim.lamb import LAMB
from pymim.optim.lars import LARS
from pymim.optim.recipe import Group, Recipe
from pymim.optim.sgd import SGD

__all__ = ["LAMB", "LARS", "SGD", "AdamW", "Group", "Recipe"]
