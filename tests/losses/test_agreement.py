"""Losses of pairs and of the whole batch, on cases worked out by hand, and their sum."""

import math

import pytest
import torch
import torch.multiprocessing as mp
from torch import nn
from torch.nn.functional import binary_cross_entropy

from pymim import losses, measures
from pymim.encoders import ViT
from pymim.errors import ConfigError
from pymim.method import Method
from pymim.objective import Objective
from pymim.predictors import OneLayer
from pymim.targets import Pixels
from tests.launch import one_of_two


def logits(*rows):
    """Scores whose softmax these rows are, [1 M K]."""
    return torch.tensor([rows]).log()


def test_agreement_by_hand():
    agree = losses.Agreement()
    found = agree(
        logits((0.9, 0.1), (0.5, 0.5), (1.0, 0.0)), logits((0.8, 0.2), (0.3, 0.7), (1.0, 0.0))
    )
    assert found[0].tolist() == pytest.approx(
        [-math.log(0.9 * 0.8 + 0.1 * 0.2), -math.log(0.5), 0], abs=1e-6
    )


def test_agreement_is_the_binary_cross_entropy_of_the_product_with_one():
    prediction, target = torch.randn(2, 6, 3, 5).unbind()
    products = (prediction.softmax(-1) * target.softmax(-1)).sum(-1)
    theirs = binary_cross_entropy(products, torch.ones_like(products), reduction="none")
    torch.testing.assert_close(losses.Agreement()(prediction, target), theirs)


def test_agreement_is_finite_where_products_are_rounded_to_nothing():
    prediction = torch.tensor([[[300.0, 0.0]]], requires_grad=True)
    found = losses.Agreement()(prediction, torch.tensor([[[0.0, 300.0]]]))
    found.sum().backward()
    assert found.item() == pytest.approx(300 - math.log(2)) and prediction.grad.isfinite().all()
    assert losses.Agreement(temperature=100)(prediction, prediction.flip(-1)).item() < 4


def test_mean_entropy_by_hand():
    spread = logits((1.0, 0.0)), logits((0.0, 1.0))
    assert losses.MeanEntropy()(torch.cat(spread)).item() == pytest.approx(math.log(2))
    assert losses.MeanEntropy()(torch.cat([spread[0], spread[0]])).item() == pytest.approx(
        0, abs=1e-6
    )
    third = torch.cat([logits((0.5, 0.5)), logits((0.9, 0.1))])
    wanted = -0.7 * math.log(0.7) - 0.3 * math.log(0.3)
    assert losses.MeanEntropy()(third).item() == pytest.approx(wanted)


def test_each_head_has_its_own_mean_and_pairs_share_theirs():
    heads = torch.randn(7, 6, 4)  # two pairs of three heads
    found = losses.MeanEntropy(sets=3)(heads)
    assert found.shape == (1, 6)
    for head in range(3):
        both = heads[:, [head, head + 3]].softmax(-1).flatten(0, 1).mean(0)
        entropy = torch.special.entr(both).sum()
        torch.testing.assert_close(found[0, [head, head + 3]], entropy.expand(2))
    with pytest.raises(
        ConfigError, match=r"MeanEntropy: sets: expected .* a divisor of 6, got 4; set both to"
    ):
        losses.MeanEntropy(sets=4)(heads)


def pairs_of_logits():
    random = torch.Generator().manual_seed(0)
    return torch.randn(2, 8, 3, 5, generator=random).unbind()


def scan(**options):
    parts = (losses.Agreement(), losses.MeanEntropy(sets=3))
    return losses.Sum(parts, (1, -5), sets=3, **options)


def test_the_sum_is_the_papers_loss_head_by_head():
    prediction, target = (side.requires_grad_() for side in pairs_of_logits())
    loss = scan()
    ours = loss(prediction, target).mean() * 3  # summed over heads
    theirs = 0.0
    for head in range(3):
        p, q = prediction[:, head].softmax(1), target[:, head].softmax(1)
        mean = p.mean(0)
        theirs = theirs - (p * q).sum(1).log().mean() + 5 * (mean * mean.log()).sum()
    torch.testing.assert_close(ours, theirs)
    found = torch.autograd.grad(ours, (prediction, target))
    wanted = torch.autograd.grad(theirs, (prediction, target))
    torch.testing.assert_close(found, wanted)
    assert all(gradient.abs().max() > 0 for gradient in found)


def in_a_process(rank, folder, results):
    with one_of_two(rank, folder):
        prediction, target = (
            side[rank * 4 : rank * 4 + 4].requires_grad_() for side in pairs_of_logits()
        )
        loss = scan()
        value = loss(prediction, target).mean()
        value.backward()
        results[rank] = (
            prediction.grad / 2,
            loss.means,
            value.item(),
        )  # DDP takes the mean over processes


def test_two_processes_learn_as_one(tmp_path):
    with mp.Manager() as manager:
        results = manager.dict()
        mp.spawn(in_a_process, (str(tmp_path), results), nprocs=2)
        halves = [results[rank] for rank in (0, 1)]
    prediction, target = (side.requires_grad_() for side in pairs_of_logits())
    loss = scan()
    value = loss(prediction, target).mean()
    value.backward()
    torch.testing.assert_close(torch.cat([half[0] for half in halves]), prediction.grad)
    for half in halves:
        torch.testing.assert_close(half[1], loss.means)
    assert sum(half[2] for half in halves) / 2 == pytest.approx(value.item(), rel=1e-5)


def test_the_best_head_has_the_lowest_loss_by_the_weights_of_the_judge():
    sure, flat = torch.eye(4)[None].repeat(3, 1, 1).transpose(0, 1) * 9, torch.zeros(4, 3, 4)
    prediction = torch.stack(
        [flat[:, 0], sure[:, 0], sure[:1, 0].expand(4, -1)], 1
    )  # head 1: sure, and all used
    loss = scan()
    assert loss.best is None
    for _ in range(3):
        loss(prediction, prediction)
    assert loss.best == 1
    judged = scan(judge=(0, 1))  # the least entropy: the head that uses one cluster
    judged(prediction, prediction)
    assert judged.best == 2
    loss.eval()(prediction.flip(1), prediction.flip(1))
    assert loss.best == 1 and int(loss.steps) == 3
    again = scan()
    again.load_state_dict(loss.state_dict())
    assert again.best == 1


def test_memory_forgets_after_a_hundred_steps():
    loss = losses.Sum((losses.MSE(),))
    wrong, right = torch.ones(2, 1, 1), torch.zeros(2, 1, 1)
    for number in range(10):
        loss(wrong if number % 2 else right, right)
    assert loss.means.item() == pytest.approx(0.5)
    for _ in range(1000):
        loss(right, right)
    assert loss.means.item() < 0.01


def test_the_parts_are_shown_with_gauges_of_their_own():
    class Used(losses.Agreement):
        def gauges(self, prediction, target):
            return measures.usage(prediction.softmax(-1), 5)

    prediction, target = pairs_of_logits()
    loss = losses.Sum((Used(), losses.MeanEntropy(sets=3)), (1, -5), sets=3)
    loss(prediction, target)
    found = loss.gauges(prediction, target)
    assert found.keys() == {"used", "balance", "entropy", "meanentropy"} | {"used"}
    torch.testing.assert_close(found["meanentropy"], losses.MeanEntropy(sets=3)(prediction).mean())


class Built(nn.Module):
    """A loss that wants another width, and learns."""

    def __init__(self, wanted):
        super().__init__()
        self.wanted, self.called = wanted, []

    def predicts(self, width, encoder):
        return self.wanted or width

    def build(self, width, encoder):
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, prediction, target, grid=None):
        return (prediction[..., : target.shape[-1]] - target).square().mean(-1) * self.scale

    def after_step(self, encoder, step):
        self.called.append(step)


class Plain(losses.MSE):
    """A loss with a hook that is no module."""

    called = 0

    def after_step(self, encoder, step):
        self.called += 1


def method(loss, **options):
    encoder = ViT(8, 1, 2, image=8, patch=4)
    return Method(encoder, [Objective(Pixels, OneLayer, loss, on="all", **options)])


def test_parts_are_built_once_and_their_hooks_are_called_once():
    built, plain = Built(None), Plain()
    made = method(losses.Sum((built, plain, losses.L1())))
    assert "objectives.0.loss.modules_of_parts.0.scale" in dict(made.named_parameters())
    made.after_step(4)
    assert built.called == [4] and plain.called == 1
    wide = method(losses.Sum((Built(96), Built(96))))
    assert wide.objectives[0].predictor.head.out_features == 96


def test_parts_that_do_not_go_together_are_refused():
    with pytest.raises(
        ConfigError, match=r"Sum: parts: expected parts .* of one width, got built 96, mse 48"
    ):
        method(losses.Sum((Built(96), losses.MSE())))
    with pytest.raises(ValueError, match="Sum: weights: expected 2, one for each part, got 1"):
        losses.Sum((losses.MSE(), losses.L1()), (1,))
    with pytest.raises(ValueError, match="Sum: judge: expected 1, one for each part, got 2"):
        losses.Sum((losses.MSE(),), judge=(1, 2))
    with pytest.raises(ValueError, match="Sum: weights: expected 0, one for each part"):
        losses.Sum(())
    early = losses.Sum((losses.MSE(), lambda prediction, target: prediction.mean()))
    with pytest.raises(
        ConfigError, match=r"Sum: parts: expected one number per patch, \[2, 3\], got \[\] from"
    ):
        early(torch.zeros(2, 3, 4), torch.zeros(2, 3, 4))


def test_what_a_target_hands_on_reaches_the_parts_that_take_it():
    seen = {}

    class Taking(losses.MSE):
        def __call__(self, prediction, target, grid):
            seen["grid"] = grid
            return super().__call__(prediction, target)

    values = torch.zeros(2, 3, 4)
    losses.Sum((Taking(), losses.L1()))(values, values, grid=(1, 3))
    assert seen == {"grid": (1, 3)}
    with pytest.raises(
        ConfigError,
        match="Sum: parts: expected a part that takes turns, which the target passes on",
    ):
        losses.Sum((Taking(), losses.L1()))(values, values, grid=(1, 3), turns=1)
