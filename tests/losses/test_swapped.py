"""Swapped hard labels: which side teaches which, and what is balanced with what."""

import copy
import math

import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from pymim.clusters import Transport
from pymim.losses import Swapped
from tests.ops.ranks import two_ranks


def make(width=8, clusters=6, **options):
    torch.manual_seed(0)
    loss = Swapped(clusters, **options)
    loss.build(width, None)
    return (
        loss,
        torch.randn(4, 9, width, requires_grad=True),
        torch.randn(4, 9, width, requires_grad=True),
    )


def plain_labels(scores, epsilon=0.05, iterations=10):
    """The released loop's way: prototypes first, tokens last, in float64."""
    plan = (scores.flatten(0, 1).double() / epsilon).exp().T
    k, b = plan.shape
    for _ in range(iterations):
        plan = plan / plan.sum(1, keepdim=True) / k
        plan = plan / plan.sum(0, keepdim=True) / b
    return plan.argmax(0).view(scores.shape[:2])


def test_it_is_the_sum_of_two_terms_with_labels_of_the_other_side():
    loss, prediction, target = make()
    ours, theirs = (normalize(x, dim=-1) @ loss.prototypes.weight.T for x in (prediction, target))
    expected = cross_entropy(theirs.mT / 0.1, plain_labels(ours), reduction="none")
    expected = expected + cross_entropy(ours.mT / 0.1, plain_labels(theirs), reduction="none")
    torch.testing.assert_close(loss(prediction, target), expected)


def test_labels_are_hard_and_a_loss_of_zero_can_be_reached():
    loss, _, _ = make(width=6)
    with torch.no_grad():
        loss.prototypes.weight.copy_(torch.eye(6))
    tokens = torch.eye(6)[torch.arange(36).view(4, 9) % 6]
    assert loss._labels(tokens, loss.prototypes(tokens)).dtype == torch.int64
    assert loss(tokens, tokens).max() < 1e-3
    swapped = tokens.roll(1, -1)  # each side is as well balanced, and disagrees on every token
    assert loss(tokens, swapped).min() > 19


def test_each_term_trains_its_own_parameters():
    loss, prediction, target = make()
    ours, theirs = loss.prototypes(prediction, detach=True), loss.prototypes(target)
    parts = (prediction, target, loss.prototypes.weight)
    for scores, learns in ((theirs, [False, True, True]), (ours, [True, False, False])):
        term = loss.cross_entropy(scores, torch.zeros(4, 9, dtype=torch.int64)).sum()
        found = torch.autograd.grad(term, parts, retain_graph=True, allow_unused=True)
        assert [grad is not None for grad in found] == learns
    with torch.no_grad():
        labels = [
            loss._labels(tokens, scores)
            for tokens, scores in ((prediction, ours), (target, theirs))
        ]
    whole = torch.autograd.grad(loss(prediction, target).sum(), parts, retain_graph=True)
    first = torch.autograd.grad(
        loss.cross_entropy(theirs, labels[0]).sum(), parts[1:], retain_graph=True
    )
    (second,) = torch.autograd.grad(
        loss.cross_entropy(ours, labels[1]).sum(), parts[:1], retain_graph=True
    )
    torch.testing.assert_close(whole, (second, *first))
    loss(
        prediction, target.detach()
    ).sum().backward()  # a frozen target: the first term teaches prototypes alone
    assert loss.prototypes.weight.grad.abs().sum() > 0


def test_equal_prototypes_give_the_loss_of_chance():
    loss, prediction, target = make()
    with torch.no_grad():
        loss.prototypes.weight.copy_(loss.prototypes.weight[:1].expand(6, -1))
    torch.testing.assert_close(loss(prediction, target), torch.full((4, 9), loss.chance))
    assert loss.chance == pytest.approx(2 * math.log(6))


def test_labels_of_random_tokens_use_the_prototypes():
    loss, _, _ = make(width=32, clusters=100)
    target = torch.randn(50, 80, 32)
    gauges = {
        name: tally.value for name, tally in loss.gauges(torch.randn(50, 80, 32), target).items()
    }
    assert gauges["used"] > 0.95
    assert gauges["balance"] > 0.97
    assert gauges["agreement"] < 0.05
    assert loss.gauges(target, target)["agreement"].value == 1


def test_two_processes_give_the_labels_of_one():
    loss, prediction, target = make(width=16, clusters=12)
    losses = loss(prediction, target)
    half = [slice(0, 1), slice(1, 4)]

    def run(rank, group):
        mine = copy.deepcopy(loss)
        mine.transport.group = group
        return mine(prediction[half[rank]], target[half[rank]])

    torch.testing.assert_close(torch.cat(two_ranks(run)), losses)


def test_half_precision_tokens_give_finite_losses_and_the_same_labels():
    loss, prediction, target = make(width=64, clusters=40, transport=Transport(0.03, 10))
    with torch.autocast("cpu", torch.bfloat16):
        rough = loss(prediction.bfloat16(), target.bfloat16())
    assert rough.dtype == torch.float32
    assert rough.isfinite().all()
    half = target.half()
    labels = [loss._labels(x, loss.prototypes(x)) for x in (half, half.float())]
    assert (labels[0] == labels[1]).float().mean() >= 0.999


def test_balance_by_position_is_refused():
    with pytest.raises(
        ValueError, match=r"Swapped: transport: expected by = 'batch', .* got 'position'"
    ):
        Swapped(transport=Transport(by="position"))
