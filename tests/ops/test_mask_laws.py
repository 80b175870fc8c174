"""The laws the policies draw from, against scipy and against exact counts of small cases."""

import itertools

import numpy as np
import pytest
import torch
from scipy import stats

from pymim.ops import mask
from tests.ops.masks import every_policy

MANY = torch.arange(20_000)


def subsets(result):
    """How often each set of hidden patches of a small grid came up."""
    codes = (result.boolean.long() << torch.arange(result.boolean.shape[1])).sum(1)
    return np.unique(codes.numpy(), return_counts=True)[1]


@pytest.mark.parametrize(
    "name", ["uniform", "weighted", "ranked", "priority", "disjoint", "budget"]
)
def test_every_subset_is_as_likely(name):
    flat = torch.zeros(len(MANY), 6)
    result = {
        "uniform": lambda: mask.uniform(MANY, 6, 3),
        "weighted": lambda: mask.weighted(MANY, flat, 3),
        "ranked": lambda: mask.ranked(MANY, flat, 3, 0),
        "priority": lambda: mask.priority(MANY, flat + 2, 3),
        "disjoint": lambda: mask.disjoint(MANY, 6, 3, covered=5)[1],
        "budget": lambda: mask.budget(MANY, [6], 3),
    }[name]()
    counts = subsets(result)
    assert len(counts) == 20 and stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("name", ["uniform", "filtered", "budget"])
def test_every_patch_is_as_likely(name):
    hidden = every_policy(torch.arange(5000))[name].boolean.float()
    if (
        name == "filtered"
    ):  # crops of one small bank overlap, so only the flips are tested: left as likely as right
        square = hidden.view(-1, 14, 14).mean(0)
        torch.testing.assert_close(square, square.flip(0), atol=0.06, rtol=0)
        torch.testing.assert_close(square, square.flip(1), atol=0.06, rtol=0)
    for segment in (
        hidden.split([100, 60, 36], 1) if name == "budget" else [hidden] * (name == "uniform")
    ):
        counts = segment.sum(0).numpy()
        # Without replacement counts vary less than a multinomial's: only a wider spread is wrong.
        assert stats.chisquare(counts).pvalue > 1e-3


def test_subset_is_uniform():
    ids = torch.arange(6).expand(len(MANY), 6).contiguous()
    taken = torch.nn.functional.one_hot(mask.subset(MANY, ids, 2), 6).sum(1)
    counts = np.unique((taken << torch.arange(6)).sum(1).numpy(), return_counts=True)[1]
    assert len(counts) == 15 and stats.chisquare(counts).pvalue > 1e-3


def test_weights_draw_by_the_law_of_successive_draws():
    weights = np.array([5.0, 1.0, 0.5, 3.0, 0.0])
    law = {}
    for order in itertools.permutations(range(4), 2):
        chance, left = 1.0, weights.sum()
        for patch in order:
            chance, left = chance * weights[patch] / left, left - weights[patch]
        law[frozenset(order)] = law.get(frozenset(order), 0) + chance
    rows = torch.tensor(weights, dtype=torch.float32).expand(len(MANY), 5).contiguous()
    for side in ("visible", "hidden"):
        result = mask.weighted(MANY, rows, 2 if side == "visible" else 3, side=side)
        drawn = getattr(result, side)
        found = [(drawn == torch.tensor(sorted(pair))).all(1).sum().item() for pair in law]
        assert (
            sum(found) == len(MANY)
            and stats.chisquare(found, np.array(list(law.values())) * len(MANY)).pvalue > 1e-3
        )


def test_zero_weights_come_last_in_uniform_order():
    rows = torch.tensor([0.0, 1e-15, 0.0, 7.0, 0.0]).expand(len(MANY), 5).contiguous()
    visible = mask.weighted(MANY, rows, 3).visible
    assert (visible == 1).any(1).all() and (visible == 3).any(1).all()
    others = [((visible == patch).any(1)).sum().item() for patch in (0, 2, 4)]
    assert stats.chisquare(others).pvalue > 1e-3


def test_hardest_are_hidden_and_the_rest_uniform():
    row = torch.tensor([0.3, 0.1, 0.9, 0.2, 0.5, 0.7, 0.8, 0.4])
    hidden = mask.ranked(MANY, row.expand(len(MANY), 8).contiguous(), 3, 3).boolean
    assert hidden[:, [2, 5, 6]].all() and (hidden.sum(1) == 5).all()
    others = hidden[:, [0, 1, 3, 4, 7]].float().mean(0)
    assert (others - 2 / 5).abs().max() < 3 * (0.4 * 0.6 / len(MANY)) ** 0.5
    easiest = mask.ranked(MANY, row.expand(len(MANY), 8).contiguous(), 3, 3, hide="lowest").boolean
    assert easiest[:, [0, 1, 3]].all()


def test_half_precision_scores_rank_as_in_float32():
    scores = torch.rand(64, 196).bfloat16()
    same = mask.ranked(MANY[:64], scores.float(), 49, 147)
    assert torch.equal(mask.ranked(MANY[:64], scores, 49, 147).hidden, same.hidden)
    assert torch.equal(same.boolean, torch.zeros(64, 196, dtype=torch.bool).scatter(
        1, scores.float().neg().argsort(dim=1, stable=True)[:, :147], True
    ))  # fmt: skip


def test_priority_of_whole_steps_is_strict_and_fractions_shift_the_odds():
    row = torch.tensor([0.0, 1.0, 1.0, 2.0, 0.5, 0.0])
    hidden = mask.priority(MANY, row.expand(len(MANY), 6).contiguous(), 3).boolean.float().mean(0)
    assert hidden[3] == 1 and hidden[0] == hidden[5] == 0
    # The chance that 0.5 + U exceeds the smaller of two 1 + U, by quadrature.
    grid = (torch.arange(4000) + 0.5) / 4000
    beaten = (grid - 0.5).clamp(min=0)  # how far 0.5 + u reaches above 1
    first = (1 - (1 - beaten) ** 2).mean().item()
    assert abs(hidden[4].item() - first) < 3 * (first * (1 - first) / len(MANY)) ** 0.5


def test_two_disjoint_views_share_a_uniform_part():
    first, second = (m.boolean for m in mask.disjoint(MANY, 6, 3, covered=5))
    assert ((first | second).sum(1) == 5).all() and ((first & second).sum(1) == 1).all()
    where = (first & second).float().sum(0).numpy()
    assert stats.chisquare(where).pvalue > 1e-3


@pytest.mark.parametrize("alpha", [[1.0, 1.0, 1.0], [0.3, 2.0, 5.0]])
def test_budget_follows_dirichlet(alpha):
    size, v = 1000, 1000
    seen = (
        (~mask.budget(torch.arange(4000), [size] * 3, v, alpha=alpha).boolean)
        .view(-1, 3, size)
        .sum(2)
    )
    assert (seen.sum(1) == v).all()
    for g in range(3):
        share = stats.beta(alpha[g], sum(alpha) - alpha[g])
        jitter = np.random.default_rng(g).uniform(-0.5, 0.5, len(seen))  # counts are rounded shares
        bins = np.searchsorted(share.ppf([0.5, 0.7, 0.9]), (seen[:, g].numpy() + jitter) / v)
        assert (
            stats.chisquare(np.bincount(bins), np.array([0.5, 0.2, 0.2, 0.1]) * len(seen)).pvalue
            > 1e-3
        )
