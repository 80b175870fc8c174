"""Targets: what the predictor has to predict."""

from pymim.targets.pixels import Pixels
from pymim.targets.target import Learned

__all__ = ["Learned", "Pixels"]
