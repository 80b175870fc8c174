"""Every policy: counts, partitions, and a pure function of its arguments."""

import copy
import functools
import pickle

import pytest
import torch

from pymim import masks
from pymim.contracts import Draw
from pymim.ops import mask as ops
from pymim.schedule import Linear, Stairs

POLICIES = {
    "uniform": masks.Uniform(0.75),
    "cells": masks.Uniform(0.5, unit=2),
    "tube": masks.Tube(0.9),
    "block": masks.Block(0.4, area=(2, None)),
    "inverse": masks.InverseBlock(0.65),
    "multi": masks.MultiBlock(0.2),
    "noise": masks.Noise(0.75, count=4, size=20),
    "ranked": masks.Ranked(0.75),
    "repeated": masks.Repeated(masks.Ranked(0.75)),
    "weighted": masks.Weighted(0.75),
    "priority": masks.Priority(0.75),
    "some": masks.Some(masks.Uniform(0.5), 0.25),
}
GRIDS = [(8, 8), (6, 10), (4, 8, 8)]


def draw_with(policy, grid, draw=None, index=None):
    draw = Draw(1, 2) if draw is None else draw
    index = torch.arange(5) + 100 if index is None else index
    noise = torch.Generator().manual_seed(0)
    difficulty = torch.rand(200, torch.tensor(grid).prod(), generator=noise)[index % 200]
    return policy(index, grid, draw, difficulty)


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("grid", GRIDS)
def test_masks_partition_the_grid(name, grid):
    mask = draw_with(POLICIES[name], grid)
    n = torch.tensor(grid).prod().item()
    every = torch.cat([mask.visible, mask.hidden], 1).sort(1)[0]
    assert torch.equal(every, torch.arange(n).expand(5, -1))
    boolean = mask.boolean(n)
    assert boolean.sum().item() == mask.hidden.numel()
    assert boolean.gather(1, mask.predicted).all()
    assert (mask.visible.diff(dim=1) > 0).all()
    assert (mask.hidden.diff(dim=1) > 0).all()


@pytest.mark.parametrize("name", POLICIES)
def test_masks_depend_on_seed_step_view_and_index_alone(name):
    policy, grid = POLICIES[name], (8, 8)
    whole = draw_with(policy, grid)
    part = draw_with(pickle.loads(pickle.dumps(policy)), grid, index=torch.tensor([103, 101]))
    assert all(torch.equal(a[[3, 1]], b) for a, b in zip(whole[:3], part[:3], strict=True))
    assert whole[3:] == part[3:]
    assert len(whole.hidden.unique(dim=0)) > 1
    for draw in (Draw(2, 2), Draw(1, 3), Draw(1, 2, 1)):
        other = draw_with(copy.deepcopy(policy), grid, draw)
        assert other.hidden.shape != whole.hidden.shape or not torch.equal(
            other.hidden, whole.hidden
        )


def test_counts_are_the_papers():
    index, draw = torch.arange(2), Draw(0, 0)
    hidden = lambda policy, grid: policy(index, grid, draw).hidden.shape[1]  # noqa: E731
    assert hidden(masks.Uniform(0.75), (14, 14)) == 147
    assert hidden(masks.Uniform(0.9), (14, 14)) == 196 - 19
    assert hidden(masks.Uniform(0.9), (8, 14, 14)) == 1568 - 156
    assert hidden(masks.Tube(0.9), (8, 14, 14)) == 1408
    assert hidden(masks.Uniform(0.6, "ceil", unit=2), (14, 14)) == 30 * 4
    assert hidden(masks.InverseBlock(0.65), (16, 16)) == 166
    some = masks.Some(masks.InverseBlock(0.65), 0.05)(index, (16, 16), draw)
    assert some.predicted.shape == (2, 8)


def test_tubes_repeat_and_uniform_does_not():
    rows = masks.Tube(0.9)(torch.arange(1), (8, 14, 14), Draw(0, 0)).boolean(1568).view(8, 196)
    assert (rows == rows[0]).all()
    rows = masks.Uniform(0.9)(torch.arange(1), (8, 14, 14), Draw(0, 0)).boolean(1568).view(8, 196)
    assert not (rows == rows[0]).all()


def test_ranked_hides_the_hard_ones_first():
    scores = torch.tensor([[0.3, 0.1, 0.9, 0.2, 0.5, 0.7, 0.8, 0.4]])
    policy = masks.Ranked(0.75, hard=Linear(0, 1), steps=10)
    hidden = policy(torch.arange(1), (2, 4), Draw(0, 5), scores).hidden
    assert {2, 5, 6} <= set(hidden[0].tolist())
    assert hidden.shape == (1, 6)
    easiest = masks.Ranked(0.75, 0.5, hide="lowest")(
        torch.arange(1), (2, 4), Draw(0, 5), scores
    ).hidden
    assert {0, 1, 3} <= set(easiest[0].tolist())


@pytest.mark.parametrize(
    "share, count", [(0.0, 0), (0.0068, 0), (0.007, 1), (0.25, 36), (0.4999, 73), (0.5, 73)]
)
def test_the_hard_share_is_of_the_hidden_and_rounds_down(share, count):
    index, scores = torch.arange(3), torch.rand(3, 196, generator=torch.Generator().manual_seed(0))
    found = masks.Ranked(0.75, share)(index, (14, 14), Draw(5, 7), scores)
    expected = ops.ranked(index, scores, 49, count, seed=5, step=7)
    assert torch.equal(found.hidden, expected.hidden)
    assert not torch.equal(
        found.hidden, ops.ranked(index, scores, 49, count + 2, seed=5, step=7).hidden
    )


@pytest.mark.parametrize("name", ["ranked", "weighted", "priority"])
def test_without_difficulty_masks_are_uniform(name):
    index = torch.arange(4000)
    share = POLICIES[name](index, (4, 4), Draw(0, 0)).boolean(16).float().mean(0)
    assert (share - 0.75).abs().max() < 0.04


def test_disjoint_views_overlap_as_little_as_they_can():
    policy = masks.Disjoint(0.6)
    first, second = policy(torch.arange(3), (10, 10), Draw(0, 0))
    assert first.hidden.shape == second.hidden.shape == (3, 60)
    assert (first.boolean(100) | second.boolean(100)).all()
    assert policy.draws == 2
    first, second = masks.Disjoint(0.25, covered=0.4)(torch.arange(3), (10, 10), Draw(0, 0))
    assert ((first.boolean(100) | second.boolean(100)).sum(1) == 40).all()


RISING = {
    "uniform": masks.Uniform,
    "tube": masks.Tube,
    "block": masks.Block,
    "inverse": masks.InverseBlock,
    "noise": functools.partial(masks.Noise, count=4, size=20),
    "ranked": masks.Ranked,
    "weighted": masks.Weighted,
    "priority": masks.Priority,
    "disjoint": functools.partial(masks.Disjoint, draws=1),
}


@pytest.mark.parametrize("name", RISING)
def test_a_ratio_may_follow_a_schedule(name):
    policy = RISING[name](ratio=Linear(0.25, 0.75), rounding="keep-floor", steps=8)
    for step, hidden in ((0, 16), (4, 32), (8, 48)):
        draw = Draw(0, step)
        found = policy(torch.arange(2), (8, 8), draw)
        mask = found[0] if name == "disjoint" else found
        assert mask.hidden.shape == (2, hidden)
        fixed = RISING[name](ratio=hidden / 64, rounding="keep-floor", steps=8)(
            torch.arange(2), (8, 8), draw
        )
        assert torch.equal(mask.hidden, (fixed[0] if name == "disjoint" else fixed).hidden)
    with pytest.raises(
        ValueError, match="schedule: steps: expected the number of steps of the run, got 0"
    ):
        RISING[name](ratio=Linear(0.25, 0.75))(torch.arange(2), (8, 8), Draw(0, 0))


def test_blocks_keep_off_the_last_row_and_column_as_released():
    for step in range(40):
        mask = masks.MultiBlock(0.2, edges=False)(torch.arange(4), (14, 14), Draw(0, step))
        rows, columns = mask.predicted // 14, mask.predicted % 14
        assert (
            max(rows.max(), columns.max(), (mask.visible // 14).max(), (mask.visible % 14).max())
            < 13
        )


def test_a_context_may_be_cut_in_raster_order():
    """The context with the most patches that every draw allows begins with those that a smaller one keeps."""
    draw, index = Draw(3, 1), torch.arange(6)
    few, more = (masks.MultiBlock(v, raster=True)(index, (14, 14), draw) for v in (0.15, 0.2))
    kept = few.visible.shape[1]
    assert torch.equal(more.visible[:, :kept], few.visible)
    few, more = (masks.MultiBlock(v)(index, (14, 14), draw) for v in (0.15, 0.2))
    assert not torch.equal(more.visible[:, :kept], few.visible)


def test_blocks_have_the_released_counts():
    """Blocks of 30 to 40 of 14 x 14 patches, 45 % of them in the union of four, which the context does not see."""
    sizes, unions = [], []
    for step in range(100):
        mask = masks.MultiBlock(0.2, edges=False)(torch.arange(8), (14, 14), Draw(0, step))
        sizes.append(mask.predicted.shape[1] // 4)
        unions += [len(row.unique()) / 196 for row in mask.predicted]
        assert not (mask.boolean(196).gather(1, mask.predicted) == 0).any()
    assert (min(sizes), max(sizes)) == (30, 40)
    assert 0.42 < sum(unions) / len(unions) < 0.48


def test_multi_blocks_are_predicted_one_after_another():
    mask = masks.MultiBlock(0.2, blocks=3)(torch.arange(2), (14, 14), Draw(0, 0))
    assert mask.predicted.shape[1] % 3 == 0
    blocks = mask.predicted.view(2, 3, -1)
    rows, columns = blocks // 14, blocks % 14
    area = (rows.amax(2) - rows.amin(2) + 1) * (columns.amax(2) - columns.amin(2) + 1)
    assert (area == blocks.shape[2]).all()
    assert mask.groups == 3


def test_masks_are_the_same_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        inside = draw_with(masks.Uniform(0.75), (14, 14))
    assert torch.equal(inside.hidden, draw_with(masks.Uniform(0.75), (14, 14)).hidden)


@pytest.mark.parametrize("hard", [0.0, 0.1, 0.25, 0.5])
def test_tubes_stay_tubes_at_every_share_of_hard_ones(hard):
    policy, grid = masks.Repeated(masks.Ranked(0.9, hard, rounding="mask-floor")), (8, 14, 14)
    scores = torch.rand(3, 1568, generator=torch.Generator().manual_seed(0))
    mask = policy(torch.arange(3), grid, Draw(0, 0), scores)
    slots = mask.boolean(1568).view(3, 8, 196)
    assert (slots == slots[:, :1]).all()
    assert mask.hidden.shape[1] == 1408
    hardest = scores.view(3, 8, 196).mean(1).topk(int(176 * hard))[1]
    assert slots[:, 0].gather(1, hardest).all()


def test_repeated_masks_of_a_frame_are_the_policys_own():
    index, draw = torch.arange(4), Draw(3, 5)
    clip = masks.Repeated(masks.Uniform(0.75))(index, (3, 4, 4), draw).boolean(48).view(4, 3, 16)
    frame = masks.Uniform(0.75)(index, (4, 4), draw).boolean(16)
    assert torch.equal(clip, frame[:, None].expand(-1, 3, -1))


@pytest.mark.parametrize(("epochs", "first"), [(200, 2), (800, 10)])
def test_the_hard_share_rises_from_nothing_to_one_half(epochs, first):
    share = Stairs(Linear(0, 0.5), epochs, ahead=True)
    hard = [int(147 * share(epoch, epochs)) for epoch in range(epochs)]
    assert next(epoch for epoch, count in enumerate(hard) if count) == first
    assert hard[epochs // 2 - 1] == 36 and hard[-1] == 73
    toy = Stairs(Linear(0, 0.5), 10, ahead=True)
    assert [int(6 * toy(epoch, 10)) for epoch in (0, 1, 3, 9)] == [0, 0, 1, 3]


@pytest.mark.parametrize("patches", [147, 1408])
@pytest.mark.parametrize("epochs", [100, 200, 300, 400, 800, 1600])
def test_counts_of_hard_ones_are_those_of_whole_numbers(patches, epochs):
    share = Stairs(Linear(0, 0.5), epochs, ahead=True)
    for epoch in range(epochs):
        assert int(patches * share(epoch, epochs)) == patches * (epoch + 1) // (2 * epochs)
