"""Encoders: a view, and a mask or none, to features."""

from pymim.encoders.encoder import Encoder, Features
from pymim.encoders.frozen import Frozen
from pymim.encoders.resnet import ResNet
from pymim.encoders.stacked import Stacked
from pymim.encoders.vit import ViT
from pymim.encoders.wrapped import Projected, Sobel

__all__ = ["Encoder", "Features", "Frozen", "Projected", "ResNet", "Sobel", "Stacked", "ViT"]
