"""Losses of a ranker: by the order of losses, or their standardised values; one per patch."""

import math

import pytest
import torch

from pymim.ops import rank
from pymim.rankers import Absolute, Relative


def test_its_mean_is_the_relative_loss():
    torch.manual_seed(0)
    scores, losses = torch.randn(3, 20), torch.randn(3, 20).mul(2).round()
    for epsilon in (0.0, 1e-6):
        found = Relative(epsilon)(scores, losses)
        assert found.shape == (3, 20)
        torch.testing.assert_close(
            found.mean(), rank.relative_loss(scores, losses, epsilon=epsilon)
        )


def test_numbers_worked_by_hand():
    losses = torch.tensor([[1.0, 2.0, 3.0]])
    scores = torch.zeros(1, 3, requires_grad=True)
    value = Relative()(scores, losses).mean()
    value.backward()
    assert value.item() == pytest.approx(math.log(2), abs=1e-5)
    torch.testing.assert_close(scores.grad, torch.tensor([[1 / 3, 0, -1 / 3]]))
    assert Relative()(torch.tensor([[0.0, 5, 10]]), losses).mean().item() == pytest.approx(
        0.0045, abs=1e-4
    )
    assert Relative()(torch.tensor([[0.0, -5, -10]]), losses).mean().item() == pytest.approx(
        6.67, abs=0.01
    )


def test_equal_losses_and_single_patches_cost_nothing():
    for shape in ((2, 5), (2, 1)):
        scores = torch.randn(shape, requires_grad=True)
        value = Relative()(scores, torch.ones(shape)).mean()
        value.backward()
        assert value == 0
        assert (scores.grad == 0).all()


def test_the_stable_form_is_the_default_and_the_released_one_an_option():
    scores, losses = torch.tensor([[0.0, -50.0]]), torch.tensor([[1.0, 2.0]])
    assert Relative()(scores, losses).mean().item() == pytest.approx(50)
    assert Relative(1e-6)(scores, losses).mean().item() == pytest.approx(13.8155, abs=1e-3)


def test_absolute_asks_for_standardised_losses():
    torch.manual_seed(0)
    losses = torch.rand(2, 50) * 3 + 1
    wanted = (losses - losses.mean(1, keepdim=True)) / losses.std(1, keepdim=True)
    assert Absolute()(wanted, losses).max() < 1e-6
    torch.testing.assert_close(
        Absolute()(wanted + 2, losses), torch.full((2, 50), 4.0), rtol=1e-3, atol=1e-3
    )
    assert Absolute()(torch.zeros(1, 4), torch.ones(1, 4)).abs().max() == 0
