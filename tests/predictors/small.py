"""A small encoder with a predictor, and a mask, for tests of predictors."""

import functools

import torch

from pymim import predictors
from pymim.contracts import Draw
from pymim.encoders import ViT
from pymim.masks import Uniform

GRID = (4, 6)
SMALL = {"dim": 16, "depth": 2, "heads": 2}
JOINT = functools.partial(predictors.Transformer, **SMALL)
CROSS = functools.partial(predictors.Cross, **SMALL)


def make(constructor, **options):
    torch.manual_seed(0)
    encoder = ViT(24, 2, 2, image=(16, 24), patch=4, **options)
    return encoder, constructor(encoder, 5)


def draw(b=3, ratio=0.75):
    return Uniform(ratio)(torch.arange(b), GRID, Draw(1, 0))
