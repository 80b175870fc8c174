"""Layer-wise scaled steps, against the formula written out."""

import pytest
import torch
from torch import nn

from pymim.optim import LARS
from pymim.schedule import Constant


def model():
    torch.manual_seed(0)
    made = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))
    nn.init.normal_(made[0].bias)
    return made


def plain_step(weights, gradients, momenta, rate, momentum, decay, trust):
    """One step of every tensor, one after another."""
    for w, g, v in zip(weights, gradients, momenta, strict=True):
        u = g.clone()
        if w.ndim > 1:
            u = u + decay * w
            u = u * trust * w.pow(2).sum().sqrt() / u.pow(2).sum().sqrt()
        v.mul_(momentum).add_(u)
        w.sub_(rate * v)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_five_steps_are_the_formulas(decay):
    ours, recipe = model(), LARS(Constant(0.3), weight_decay=decay, momentum=0.8, trust=0.01)
    optimizer = recipe(ours)
    weights = [p.detach().clone() for p in ours.parameters()]
    momenta = [torch.zeros_like(w) for w in weights]
    inputs = torch.randn(5, 6, 3, generator=torch.Generator().manual_seed(1))
    for number, batch in enumerate(inputs):
        recipe.set(optimizer, number, 5, 256)
        optimizer.zero_grad()
        ours(batch).square().sum().backward()
        gradients = [p.grad.clone() for p in ours.parameters()]
        optimizer.step()
        plain_step(weights, gradients, momenta, 0.3, 0.8, decay, 0.01)
    for parameter, weight in zip(ours.parameters(), weights, strict=True):
        torch.testing.assert_close(parameter.detach(), weight)


def test_a_matrix_of_zeros_learns_by_its_plain_gradient():
    layer, recipe = nn.Linear(2, 2, bias=False), LARS(Constant(0.5))
    nn.init.zeros_(layer.weight)
    optimizer = recipe(layer)
    recipe.set(optimizer, 0, 1, 256)
    layer.weight.grad = torch.ones(2, 2)
    optimizer.step()
    torch.testing.assert_close(layer.weight.detach(), torch.full((2, 2), -0.5))


def test_the_rate_is_scaled_by_the_batch_and_warmed_up():
    recipe, layer = LARS(0.1, warmup=10), nn.Linear(2, 2)
    optimizer = recipe(layer)
    rates = [recipe.set(optimizer, step, 90, 16384) for step in (0, 5, 10, 90)]
    assert rates == pytest.approx([0, 3.2, 6.4, 0], abs=1e-9)
    assert {part["momentum"] for part in optimizer.param_groups} == {0.9}
