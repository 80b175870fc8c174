"""Rankers: what decides which patches are hard, for masks that care.

A ranker is a module built by constructor(encoder, objectives). Called with (view, index, draw) it gives the
difficulty of every patch, float32 [B N], or None while it has no opinion. If it learns, `loss(branch, losses)`
is one number per patch, [B M], from the encoded branch and the objectives' losses on it, {name: [B M]},
detached. The hooks of `pymim.method` reach it too.
"""

from pymim.rankers.compare import Absolute, Relative
from pymim.rankers.predicted import PredictedLoss

__all__ = ["Absolute", "PredictedLoss", "Relative"]
