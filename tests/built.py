"""A gin file's method, and a batch for it, for tests of what the method computes."""

import torch

from pymim import config
from pymim.contracts import Batch


def method_of(path, *bindings):
    torch.manual_seed(0)
    config.load([path], bindings)
    return config.build("train.Trainer", "method")


def batch(count=3, sides=(32, 32), channels=3):
    torch.manual_seed(1)
    view = torch.randn(count, channels, *sides)
    return Batch([view], torch.arange(count), torch.full((count,), -1))
