"""Losses: a prediction and a target [B M T], to one number per patch [B M]."""

from pymim.losses.distance import L1, MSE, Cosine, SmoothL1

__all__ = ["L1", "MSE", "Cosine", "SmoothL1"]
