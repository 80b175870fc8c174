"""Predictors: the encoder's features, to a prediction of the target on the patches asked for."""

from pymim.predictors.coarser import Coarser, Finer
from pymim.predictors.cross import Cross
from pymim.predictors.heads import Heads
from pymim.predictors.linear import Linear, Pooled
from pymim.predictors.normed import Normed
from pymim.predictors.relabelled import Centroids, Renewed
from pymim.predictors.transformer import Transformer

__all__ = [
    "Centroids",
    "Coarser",
    "Cross",
    "Finer",
    "Heads",
    "Linear",
    "Normed",
    "Pooled",
    "Renewed",
    "Transformer",
]
