"""A momentum encoder follows its source, by itself and once a step, and is nobody's to train."""

import copy

import pytest
import torch
from torch import nn

from pymim.encoders import Average, Momentum
from pymim.encoders.average import followed
from pymim.io import checkpoint
from pymim.optim import AdamW
from pymim.schedule import Ramp
from tests.test_method import make_batch, make_method


def line(value):
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, value)
    return layer


class Teacher(nn.Module):
    """A ranker that scores patches by the norm of a momentum encoder's tokens."""

    def __init__(self, encoder, objectives, make=Momentum):
        super().__init__()
        self.teacher = followed(objectives, encoder) or make(encoder, 0.9)

    def forward(self, batch, draw):
        return self.teacher(batch.views[draw.view]).tokens.norm(dim=-1)


def test_an_average_follows_its_source():
    source = line(0.0)
    follower = Average(source)
    nn.init.ones_(source.weight)
    follower.update(source, 0.9)
    assert follower.module.weight.item() == pytest.approx(0.1)
    assert not follower.module.weight.requires_grad


def test_buffers_are_copied():
    source = nn.BatchNorm1d(2)
    follower = Average(source)
    source(torch.randn(4, 2))
    follower.update(source, 0.9)
    assert torch.equal(follower.module.running_mean, source.running_mean)
    assert follower.module.num_batches_tracked == 1


def test_momentum_follows_a_schedule():
    source = line(0.0)
    follower = Momentum(source, Ramp(0.5, 1.0), steps=2)
    nn.init.ones_(source.weight)
    for step in range(2):
        follower.after_step(nn.Identity(), step)
    assert follower.module.weight.item() == pytest.approx(0.5 + 0.25 * 0.5)
    assert [Momentum(source, steps=10).momentum(step, 10) for step in (0, 10)] == [0.996, 1.0]


def test_it_stays_in_evaluation_mode_and_gives_no_gradient():
    method = make_method(ranker=Teacher)
    method.train()
    assert not any(module.training for module in method.ranker.teacher.modules())
    tokens = method.ranker.teacher(make_batch().views[0]).tokens
    assert not tokens.requires_grad


def test_the_method_tells_it_once_a_step_though_two_share_it():
    method = make_method(ranker=Teacher)
    method.objectives[0].target.teacher = method.ranker.teacher
    before = copy.deepcopy(method.ranker.teacher)
    with torch.no_grad():
        for parameter in method.encoder.parameters():
            parameter += 1
    method.after_step(0)
    for mine, old in zip(method.ranker.teacher.parameters(), before.parameters(), strict=True):
        torch.testing.assert_close(mine, old + 0.1)
    assert followed(method.objectives, method.encoder) is method.ranker.teacher
    assert followed(method.objectives, nn.Identity()) is None


def test_no_optimiser_has_it_and_a_checkpoint_does(tmp_path):
    method, recipe = make_method(ranker=Teacher), AdamW()
    optimizer = recipe(method)
    held = {id(p) for part in optimizer.param_groups for p in part["params"]}
    assert not held & {id(p) for p in method.ranker.parameters()}
    recipe.set(optimizer, 1, 2, 256)
    method(make_batch(), 0).loss.backward()
    optimizer.step()
    method.after_step(0)
    path = checkpoint.save(tmp_path, 1, method, optimizer, {}, keep=1)
    again = make_method(ranker=Teacher)
    checkpoint.load(path, again, recipe(again))
    for mine, theirs in zip(again.ranker.parameters(), method.ranker.parameters(), strict=True):
        assert torch.equal(mine, theirs)
