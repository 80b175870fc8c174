"""Predictors: the encoder's features, to a prediction of the target on the patches asked for."""

from pymim.predictors.transformer import Transformer

__all__ = ["Transformer"]
