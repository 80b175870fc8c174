"""Stochastic gradient descent by groups, and its layer-wise scaling."""

import pytest
import torch
from torch import nn

from pymim.io import checkpoint
from pymim.optim import SGD, Group
from pymim.schedule import Constant


def make(**arguments):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    recipe = SGD(Constant(0.05), **arguments)
    optimizer = recipe(model)
    recipe.set(optimizer, 5, 100, 256)
    return model, optimizer


def step(model, optimizer):
    optimizer.zero_grad()
    model(torch.ones(2, 3)).square().sum().backward()
    optimizer.step()


def test_a_constant_rate_and_decay_of_every_parameter():
    _, optimizer = make()
    assert {
        (part["lr"], part["weight_decay"], part["momentum"]) for part in optimizer.param_groups
    } == {(0.05, 1e-5, 0.9)}
    assert sum(len(part["params"]) for part in optimizer.param_groups) == 4


def test_without_trust_it_equals_torchs_sgd():
    model, optimizer = make(weight_decay=0.1)
    peer, _ = make()
    theirs = torch.optim.SGD(peer.parameters(), 0.05, 0.9, weight_decay=0.1)
    for _ in range(3):
        step(model, optimizer)
        step(peer, theirs)
    assert all(map(torch.equal, model.parameters(), peer.parameters()))


def test_a_group_without_momentum_keeps_no_state_and_is_saved(tmp_path):
    head = (Group("^1", Constant(0.05), momentum=0.0),)
    model, optimizer = make(groups=head)
    step(model, optimizer)
    assert not any(
        optimizer.state[p].get("momentum_buffer") is not None for p in model[1].parameters()
    )
    path = checkpoint.save(tmp_path, 1, model, optimizer, {}, keep=1)
    other, fresh = make(groups=head)
    checkpoint.load(path, other, fresh)
    SGD(Constant(0.05), groups=head).set(fresh, 5, 100, 256)
    for _ in range(2):
        step(model, optimizer)
        step(other, fresh)
    assert all(map(torch.equal, model.parameters(), other.parameters()))


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_trust_makes_steps_as_long_as_the_weights(decay):
    model, optimizer = make(momentum=0.0, weight_decay=decay, trust=0.001)
    nn.init.zeros_(model[1].bias)
    before = [p.clone() for p in model.parameters()]
    step(model, optimizer)
    for old, p in zip(before, model.parameters(), strict=True):
        plain = p.grad  # scaled in place by the step
        assert p.isfinite().all()
        torch.testing.assert_close(old - p, 0.05 * plain)
        if decay == 0 and old.norm() > 0:
            assert (old - p).norm().item() == pytest.approx(
                0.05 * 0.001 * old.norm().item(), rel=1e-3
            )
    assert {part["weight_decay"] for part in optimizer.param_groups} == {decay}


def test_trust_is_the_formula_with_decay():
    model, optimizer = make(momentum=0.0, weight_decay=0.1, trust=0.001)
    weight = model[0].weight.detach().clone()
    model(torch.ones(2, 3)).square().sum().backward()
    gradient = model[0].weight.grad.clone()
    model[1].weight.grad.zero_()
    still = model[1].weight.detach().clone()
    optimizer.step()
    scale = 0.001 * weight.norm() / (gradient.norm() + 0.1 * weight.norm())
    torch.testing.assert_close(model[0].weight, weight - 0.05 * scale * (gradient + 0.1 * weight))
    assert torch.equal(model[1].weight, still)
