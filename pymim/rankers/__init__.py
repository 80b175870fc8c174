"""Rankers: score how hard patches are, for masks that follow the scores.

See `pymim.contracts.Ranker`.
"""

from pymim.rankers.compare import Absolute, Relative
from pymim.rankers.predicted import PredictedLoss
from pymim.rankers.sampler import Sampler

__all__ = ["Absolute", "PredictedLoss", "Relative", "Sampler"]
