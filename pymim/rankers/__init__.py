"""Rankers: what decides which patches are hard, for masks that care.

See `pymim.contracts.Ranker`.
"""

from pymim.rankers.compare import Absolute, Relative
from pymim.rankers.predicted import PredictedLoss
from pymim.rankers.sampler import Sampler

__all__ = ["Absolute", "PredictedLoss", "Relative", "Sampler"]
