"""Targets: what the predictor has to predict."""

from pymim.targets.frames import Frames
from pymim.targets.pixels import Pixels
from pymim.targets.projected import Projected
from pymim.targets.target import Learned
from pymim.targets.tokens import Tokens

__all__ = ["Frames", "Learned", "Pixels", "Projected", "Tokens"]
