"""Encoders: turn a view, and a mask or None, into features. Also copies of encoders: `Momentum`
follows one, `Frozen` reads one from a file.
"""

from pymim.encoders.altered import Altered, Fill, Filter
from pymim.encoders.average import Average, Momentum
from pymim.encoders.convnext import ConvNeXt
from pymim.encoders.copy import Copy
from pymim.encoders.frozen import Frozen
from pymim.encoders.itself import Itself
from pymim.encoders.quantised import Quantised
from pymim.encoders.resnet import ResNet
from pymim.encoders.stacked import Stacked
from pymim.encoders.vit import ViT
from pymim.encoders.wrapped import Projected, Sobel

__all__ = [
    "Altered",
    "Average",
    "ConvNeXt",
    "Copy",
    "Fill",
    "Filter",
    "Frozen",
    "Itself",
    "Momentum",
    "Projected",
    "Quantised",
    "ResNet",
    "Sobel",
    "Stacked",
    "ViT",
]
