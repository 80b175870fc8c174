"""A picture that repeats in a batch has a new mask each time, wherever the batch is split."""

import functools
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pymim import data, encoders, losses, masks, predictors, targets, views
from pymim.contracts import Draw
from pymim.data.order import Balanced, repeats
from pymim.method import Method
from pymim.objective import Objective

TINY = functools.partial(predictors.Transformer, dim=12, depth=1, heads=2)
POLICIES = {
    "uniform": masks.Uniform(0.5),
    "block": masks.Block(0.5, area=(2, None)),
    "noise": masks.Noise(0.5),
    "several": masks.PredictShare(masks.InverseBlock(0.5), 0.5),
}


@given(st.lists(st.integers(0, 5), max_size=30))
def test_occurrences_are_counted(index):
    seen, expected = Counter(), []
    for one in index:
        expected.append(seen[one])
        seen[one] += 1
    assert repeats(torch.tensor(index, dtype=torch.int64).numpy()).tolist() == expected


def batch_of(rank=0, world=1, order=None):
    """A batch of 16 out of 6 pictures: each comes two or three times."""
    view = views.Pretrain(16, statistics="half")
    loader = data.Loader(data.Digits(length=6), view, 16, 1, rank, world, order=order)
    return next(loader.batches(2, 3))


def hidden(batch, policy="uniform"):
    torch.manual_seed(0)
    encoder = encoders.ViT(12, 1, 2, image=16, patch=2)
    method = Method(
        encoder, [Objective(targets.Pixels, TINY, losses.MSE())], POLICIES[policy], seed=5
    )
    return method(batch, 3).mask.boolean(64)


@pytest.mark.parametrize("policy", POLICIES)
def test_each_occurrence_has_a_mask_of_its_own_and_the_first_that_of_its_index(policy):
    batch = batch_of()
    found = hidden(batch, policy)
    alone = POLICIES[policy](batch.index, (8, 8), Draw(5, 3, 0)).boolean(64)
    first = torch.from_numpy(repeats(batch.index.numpy())) == 0
    assert first.sum() == 6
    assert torch.equal(found[first], alone[first])
    for picture in range(6):
        own = found[batch.index == picture]
        assert len(own) >= 2 and len(own.unique(dim=0)) == len(own)


@pytest.mark.parametrize("order", [None, Balanced()], ids=["shuffled", "balanced"])
def test_masks_are_the_same_for_any_split(order):
    whole = hidden(batch_of(order=order))
    ranks = torch.cat([hidden(batch_of(rank, 2, order)) for rank in (0, 1)])
    pieces = torch.cat([hidden(piece) for piece in batch_of(order=order).split(3)])
    assert torch.equal(whole, ranks) and torch.equal(whole, pieces)


def test_a_batch_without_repeats_is_named_by_its_index():
    view = views.Pretrain(16, statistics="half")
    batch = next(data.Loader(data.Digits(length=50), view, 8, 1).batches(0, 1))
    assert torch.equal(batch.named, batch.index)
    assert torch.equal(batch._replace(stream=None).named, batch.index)
