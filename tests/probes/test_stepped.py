"""Probes that are trained by steps take enough of them, by their defaults."""

import pytest
import torch
from sklearn.datasets import load_digits
from torch.nn.functional import avg_pool2d

from pymim.errors import ConfigError
from pymim.probes import Attentive, Linear, LinearSGD
from pymim.probes.linear_sgd import steps_of


@pytest.fixture(scope="module")
def handwritten():
    """A thousand real digits for training, 797 for the test."""
    images, labels = load_digits(return_X_y=True)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    images, labels = torch.from_numpy(images).float()[order], torch.from_numpy(labels)[order]
    return images[:1000], labels[:1000], images[1000:], labels[1000:]


def test_steps_are_epochs_or_the_least():
    assert steps_of(1000, 256, 20, 1) == 60 and steps_of(1000, 256, 20, 500) == 500
    assert steps_of(100, 256, 20, 1) == 20 and steps_of(50_000, 256, 20, 500) == 3900
    for probe in (LinearSGD, Attentive):
        with pytest.raises(
            ConfigError, match=f"{probe.__name__}: least: expected a whole number, 1 or more, got 0"
        ):
            probe(least=0)


def test_sgd_reaches_the_optimum_of_what_it_minimises(handwritten):
    """Of the loss without penalty, within a point, in a part of the steps that are the default."""
    train, labels, test, truth = handwritten
    coarse = [avg_pool2d(side.view(-1, 1, 8, 8), 2).flatten(1) for side in (train, test)]
    exact = Linear(strengths=(1e-6,))(coarse[0], labels, coarse[1], truth)
    assert LinearSGD().least > 1000
    assert abs(LinearSGD(epochs=1, least=1000)(coarse[0], labels, coarse[1], truth) - exact) < 0.01
    assert (
        LinearSGD(rate=0.1, least=1)(coarse[0], labels, coarse[1], truth) < exact - 0.1
    )  # as it was


def test_an_attentive_probe_needs_the_least_number_of_steps(handwritten):
    train, labels, test, truth = handwritten
    quarters = [
        side.view(-1, 2, 4, 2, 4).transpose(2, 3).reshape(-1, 4, 16) for side in (train, test)
    ]
    few = Attentive(batch=256, least=1)(quarters[0], labels, quarters[1], truth)  # as it was
    assert Attentive().least > 500
    assert Attentive(epochs=1, least=500)(quarters[0], labels, quarters[1], truth) > few + 0.05
