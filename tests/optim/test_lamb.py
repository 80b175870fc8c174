"""LAMB's step, against the formula written out in float64."""

import pytest
import torch
from torch import nn

from pymim.optim import LAMB
from pymim.schedule import Constant


def plain_steps(weight, gradients, rate, betas, eps, decay):
    """One tensor, step by step, each number of the formula in turn."""
    first = second = torch.zeros_like(weight)
    for count, gradient in enumerate(gradients, 1):
        first = betas[0] * first + (1 - betas[0]) * gradient
        second = betas[1] * second + (1 - betas[1]) * gradient**2
        mean, square = first / (1 - betas[0] ** count), second / (1 - betas[1] ** count)
        update = mean / (square.sqrt() + eps) + decay * weight
        if decay and weight.norm() > 0 and update.norm() > 0:
            update = update * weight.norm() / update.norm()
        weight = weight - rate * update
    return weight


@pytest.mark.parametrize("decay", [0.0, 0.2])
@pytest.mark.parametrize("start", ["random", "zeros"])
def test_five_steps_are_the_formula(decay, start):
    torch.manual_seed(0)
    layer = nn.Linear(3, 2).double()
    if start == "zeros":
        nn.init.zeros_(layer.weight)
    recipe = LAMB(Constant(0.1), weight_decay=decay, betas=(0.8, 0.6), eps=1e-3)
    optimizer = recipe(layer)
    before = layer.weight.detach().clone(), layer.bias.detach().clone()
    gradients = torch.randn(5, 2, 3).double(), torch.randn(5, 2).double()
    for number in range(5):
        recipe.set(optimizer, number, 5, 256)
        layer.weight.grad, layer.bias.grad = gradients[0][number], gradients[1][number]
        optimizer.step()
    law = {"rate": 0.1, "betas": (0.8, 0.6), "eps": 1e-3}
    expected = plain_steps(before[0], gradients[0], decay=decay, **law)
    torch.testing.assert_close(layer.weight.detach(), expected)
    # A bias is not decayed, so its step is Adam's.
    expected = plain_steps(before[1], gradients[1], decay=0.0, **law)
    torch.testing.assert_close(layer.bias.detach(), expected)


def test_a_decayed_tensor_moves_by_the_rate_times_its_length():
    layer, recipe = nn.Linear(4, 4, bias=False), LAMB(Constant(0.01), weight_decay=0.1)
    optimizer, before = recipe(layer), layer.weight.detach().clone()
    recipe.set(optimizer, 0, 1, 256)
    layer.weight.grad = torch.randn(4, 4) * 1e6
    optimizer.step()
    moved = (layer.weight.detach() - before).norm() / before.norm()
    assert float(moved) == pytest.approx(0.01, rel=1e-4)


def test_names_that_are_not_decayed_are_not_scaled():
    layer, recipe = nn.Linear(4, 4), LAMB(Constant(0.01), weight_decay=0.1, no_decay="weight")
    optimizer, before = recipe(layer), layer.weight.detach().clone()
    recipe.set(optimizer, 0, 1, 256)
    layer.weight.grad = torch.ones(4, 4)
    optimizer.step()
    torch.testing.assert_close(layer.weight.detach(), before - 0.01, rtol=1e-5, atol=1e-6)


def test_what_has_no_gradient_stays():
    layer, recipe = nn.Linear(2, 2), LAMB(Constant(0.1))
    optimizer, before = recipe(layer), layer.weight.detach().clone()
    recipe.set(optimizer, 0, 1, 256)
    layer.bias.grad = torch.ones(2)
    optimizer.step()
    assert torch.equal(layer.weight.detach(), before) and layer.weight not in optimizer.state


def test_an_eps_of_zero_is_refused():
    with pytest.raises(ValueError, match=r"LAMB: eps: expected a number above 0, got 0.0"):
        LAMB(eps=0.0)
