"""Parts of a count, against exact fractions, and papers' numbers, which floating point rounded."""

import math
from fractions import Fraction

import pytest
import torch

from pymim.contracts import Draw
from pymim.layers.block import DropPath
from pymim.masks import Disjoint, MultiBlock, PredictShare, Ranked, Uniform
from pymim.parts import part
from pymim.schedule import Ramp

DRAW = Draw(0, 0, 0)


def test_a_part_of_a_decimal_share_is_exact():
    for count in range(201):
        for hundredth in range(101):
            exact = Fraction(hundredth, 100) * count
            assert part(count, hundredth / 100) == math.floor(exact)
            assert part(count, hundredth / 100, "round") == round(exact)


@pytest.mark.parametrize(
    ("count", "share", "whole"),
    [
        (100, 0.29, 29),  # 28.999999999999996 in floating point
        (100, 0.57, 57),
        (10, 1 - 0.9, 1),
        (30, 0.1, 3),
        (10, 0.1 + 0.2, 3),
        (10, 0.1 * 7, 7),
        (3, 1 / 3, 1),
        (21, 2 / 3, 14),
        (49, 1 / 49, 1),
        (7, 1.0, 7),
        (7, 0.0, 0),
        (10**12, 0.7, 7 * 10**11),
    ],
)
def test_a_share_is_the_fraction_it_stands_for(count, share, whole):
    assert part(count, share) == whole


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((10, 1.5), "share: expected 0 to 1, got 1.5"),
        ((10, float("nan")), "share: expected 0 to 1, got nan"),
        ((-1, 0.5), "count: expected 0 or more, got -1"),
        ((10, 0.5, "ceil"), "rounding: expected 'floor' or 'round', got 'ceil'"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=f"part: {message}"):
        part(*arguments)


@pytest.mark.parametrize("epochs", [100, 200, 300, 400, 800, 1600])
def test_the_papers_shares_give_what_floating_point_gave(epochs):
    hard = Ramp(0.0, 0.5)
    for hidden in (147, 98, 118, 127, 176, 177, 1176, 1411):
        for epoch in range(epochs):
            assert part(hidden, hard(epoch + 1, epochs)) == int(hidden * hard(epoch + 1, epochs))
    for whole, share in [(127, 0.05), (166, 0.05), (196, 0.25), (256, 0.25), (196, 0.75)]:
        assert part(whole, share) == int(whole * share)


def hundred(policy, difficulty=None):
    return policy(torch.arange(2), (10, 10), DRAW, difficulty)


def test_policies_count_exactly():
    half = Uniform(0.5)  # 50 hidden; 0.58 of them is 28.999999999999996 in floating point
    assert hundred(PredictShare(half, 0.58)).predicted.shape[1] == 29
    ascending = torch.arange(100.0).expand(2, -1)
    mask = hundred(Ranked(0.5, hard=0.58), ascending)
    assert (mask.hidden[:, -29:] == torch.arange(71, 100)).all()
    first, second = (mask.boolean(100) for mask in hundred(Disjoint(0.5, covered=0.575)))
    assert ((first | second).sum(1) == 58).all()
    assert hundred(MultiBlock(visible=0.29)).visible.shape[1] == 29


def test_a_dropped_branch_counts_exactly():
    branch = DropPath(0.9, subset=True)
    branch.train()
    seen = []
    branch(
        torch.zeros(100, 2, 3),
        lambda images: seen.append(len(images)) or torch.zeros(len(images), 2, 3),
    )
    assert seen == [10]
