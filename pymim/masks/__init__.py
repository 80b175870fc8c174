"""Mask policies: which patches of a grid the encoder sees, and which are asked for."""

from pymim.masks.mask import Draw, Grid, Mask, Policy
from pymim.masks.uniform import Uniform

__all__ = ["Draw", "Grid", "Mask", "Policy", "Uniform"]
