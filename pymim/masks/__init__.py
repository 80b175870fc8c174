"""Mask policies: choose which patches of a grid the encoder sees, and which are predicted."""

from pymim.masks.band import Band
from pymim.masks.count import visible_count
from pymim.masks.filtered import Noise
from pymim.masks.guided import Priority, Ranked, Weighted
from pymim.masks.predict_share import PredictShare
from pymim.masks.ragged import RaggedBlock
from pymim.masks.rectangles import Block, InverseBlock, MultiBlock
from pymim.masks.repeated import Repeated
from pymim.masks.several import ByView, Several
from pymim.masks.uniform import Disjoint, Tube, Uniform

__all__ = [
    "Band",
    "Block",
    "ByView",
    "Disjoint",
    "InverseBlock",
    "MultiBlock",
    "Noise",
    "PredictShare",
    "Priority",
    "RaggedBlock",
    "Ranked",
    "Repeated",
    "Several",
    "Tube",
    "Uniform",
    "Weighted",
    "visible_count",
]
