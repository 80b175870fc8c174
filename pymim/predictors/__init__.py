"""Predictors: predict the target at the predicted patches from the encoder's features."""

from pymim.predictors.coarser import Coarser, Finer
from pymim.predictors.convolved import Convolved
from pymim.predictors.cross import Cross
from pymim.predictors.heads import Heads
from pymim.predictors.normed import Normed
from pymim.predictors.one_layer import OneLayer, Pooled
from pymim.predictors.pyramid import Pyramid
from pymim.predictors.regressor import Regressor
from pymim.predictors.relabelled import Centroids, Renewed
from pymim.predictors.transformer import Transformer

__all__ = [
    "Centroids",
    "Coarser",
    "Convolved",
    "Cross",
    "Finer",
    "Heads",
    "Normed",
    "OneLayer",
    "Pooled",
    "Pyramid",
    "Regressor",
    "Renewed",
    "Transformer",
]
