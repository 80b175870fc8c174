"""Encoders: a view, and a mask or none, to features."""

from pymim.encoders.encoder import Encoder, Features
from pymim.encoders.vit import ViT

__all__ = ["Encoder", "Features", "ViT"]
