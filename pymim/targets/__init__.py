"""Targets: what the predictor has to predict."""

from pymim.targets.pixels import Pixels

__all__ = ["Pixels"]
