"""Losses: compare a prediction and a target [B M T], and give one number per patch [B M], in
float32.
"""

from pymim.losses.agreement import Agreement, MeanEntropy
from pymim.losses.contrast import Contrast
from pymim.losses.distance import L1, MSE, CosineDistance, SmoothL1
from pymim.losses.entropy import CrossEntropy
from pymim.losses.spectrum import Spectrum
from pymim.losses.sum import Sum
from pymim.losses.swapped import Swapped

__all__ = [
    "L1",
    "MSE",
    "Agreement",
    "Contrast",
    "CosineDistance",
    "CrossEntropy",
    "MeanEntropy",
    "SmoothL1",
    "Spectrum",
    "Sum",
    "Swapped",
]
