"""The life of a batch: a method trains, and says everything by name."""

import functools

import pytest
import torch

from pymim import encoders, losses, masks, predictors, targets
from pymim.data.batch import Batch
from pymim.method import Method, Objective

TINY = functools.partial(predictors.Transformer, dim=24, depth=1, heads=2)


def make_batch(b=4, channels=3, sides=(16, 24), views=1):
    torch.manual_seed(0)
    return Batch([torch.randn(b, channels, *sides) for _ in range(views)], torch.arange(b), torch.full((b,), -1))


def make_method(channels=3, sides=(16, 24), patch=4, **slots):
    torch.manual_seed(0)
    encoder = encoders.ViT(24, 2, 2, image=sides, patch=patch, channels=channels)
    slots = {"objectives": [Objective(targets.Pixels, TINY, losses.MSE())], "mask": masks.Uniform(0.75)} | slots
    return Method(encoder, **slots)


def test_training_lowers_the_loss():
    method, batch = make_method(), make_batch()
    optimizer = torch.optim.AdamW(method.parameters(), 3e-3)
    first = method(batch, 0).loss.item()
    for step in range(30):
        optimizer.zero_grad()
        method(batch, step).loss.backward()
        optimizer.step()
        method.after_step(step)
    assert method(batch, 0).loss.item() < 0.9 * first


@pytest.mark.parametrize("channels", [1, 3, 4, 12])
@pytest.mark.parametrize(("sides", "patch"), [((16, 16), 4), ((8, 24), (4, 8)), ((4, 8, 16), (2, 4, 4))])
def test_every_shape_and_channel_count(channels, sides, patch):
    method, batch = make_method(channels, sides, patch), make_batch(2, channels, sides)
    out = method(batch, 0)
    m = out.mask.predicted.shape[1]
    assert out.losses["pixels"].shape == (2, m)
    assert out.predictions["pixels"].shape == out.targets["pixels"].shape
    out.loss.backward()
    assert all(parameter.grad is not None for parameter in method.parameters())
