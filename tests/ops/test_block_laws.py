"""What is known of masks made of rectangles: their shapes, and how often each of them comes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pymim.ops import mask
from tests import reference

IMAGES = torch.arange(2000)
BEIT = dict(area=(16, None), aspect=(0.3, 1 / 0.3))


def same_law(ours, theirs):
    """Test whether two samples of small integers come from one law.

    By chi-square; values seen fewer than 20 times are pooled.
    """
    values, counts = np.unique(np.concatenate([ours, theirs]), return_counts=True)
    bins = (
        np.where(np.isin(ours, values[counts < 20]), -1, ours),
        np.where(np.isin(theirs, values[counts < 20]), -1, theirs),
    )
    kinds = np.unique(np.concatenate(bins))
    return (
        stats.chi2_contingency([[np.sum(b == kind) for kind in kinds] for b in bins]).pvalue > 1e-3
    )


def described(policy, *law, count=1500):
    source = reference.block.words_from(np.random.default_rng(0))
    return np.array([policy(source, *law) for _ in range(count)])


def rows_hit(masks):
    return masks.any(2).sum(1)


def box_of(flags):
    """First and last row and column that are set."""
    rows, columns = np.flatnonzero(flags.any(1)), np.flatnonzero(flags.any(0))
    return rows[0], rows[-1], columns[0], columns[-1]


def is_block(flags):
    """Whether the set cells are a box whose last row may end early."""
    top, bottom, left, right = box_of(flags)
    body = flags[top:bottom, left : right + 1]
    last = flags[bottom, left : right + 1]
    return body.all() and last[: last.sum()].all()


def unrolled(flags):
    """The shift of a torus that makes its set cells one block, which it lies in."""
    for rows, columns in np.ndindex(flags.shape):
        moved = np.roll(flags, (-rows, -columns), (0, 1))
        if moved[0, 0] and is_block(moved):
            return moved
    return None


def test_ragged_blocks_miss_the_count_at_the_known_rate():
    hidden = mask.ragged_block(torch.arange(20000), (14, 14), 75).hidden
    assert 0.64 < (hidden == 75).double().mean() < 0.7
    assert 74.4 < hidden.double().mean() < 74.6
    assert 60 <= hidden.min() <= 67
    assert hidden.max() == 75


@pytest.mark.parametrize("exact", [False, True])
def test_blocks_follow_the_description(exact):
    law = (1, 14, 14), 75, *BEIT.values(), (1, 1), 10, exact
    theirs = described(reference.block.block, *law)[:, 0]
    policy = mask.block if exact else mask.ragged_block
    ours = policy(IMAGES, (14, 14), 75, **BEIT, tries=10).boolean.view(-1, 14, 14).numpy()
    for statistic in (lambda m: m.sum((1, 2)), lambda m: m[:, 0].sum(1), rows_hit):
        assert same_law(statistic(ours), statistic(theirs))
    narrow = described(
        reference.block.block, (1, 14, 14), 75, (16, None), (0.6, 1 / 0.6), (1, 1), 10, exact
    )[:, 0]
    assert not same_law(rows_hit(ours), rows_hit(narrow))  # another law is detected


def test_cubes_last_a_uniform_number_of_frames():
    law = dict(area=(49, 49), aspect=(1, 1), tries=1)
    three = mask.ragged_block(IMAGES, (8, 8, 8), 3 * 49, **law, duration=(3, 3)).boolean.view(
        -1, 8, 64
    )
    assert torch.equal(three.any(2).sum(1), torch.full((len(IMAGES),), 3))
    assert three.sum((1, 2)).eq(3 * 49).all()
    # The first cube fits where it lasts one frame, and ends the search where it does not.
    fits = mask.ragged_block(IMAGES, (8, 8, 8), 49, **law).hidden == 49
    assert abs(fits.double().mean() - 1 / 8) < 0.03


def test_a_block_is_lower_and_narrower_than_its_grid():
    """Squares of an area uniform on 25 to 64; above 7.5^2 they would be 8 x 8, the whole grid."""
    first = mask.ragged_block(IMAGES, (8, 8), 64, area=(25, 64), aspect=(1, 1), tries=1)
    refused = (first.hidden == 0).double().mean()
    assert abs(refused - (64 - 7.5**2) / (64 - 25)) < 0.03
    assert first.hidden[first.hidden > 0].min() >= 25


def test_block_has_length_one_along_an_axis_of_length_one():
    row = mask.ragged_block(IMAGES, (1, 9), 8, area=(8, 8), aspect=(1 / 8, 1 / 8), tries=1)
    assert row.hidden.eq(8).all()
    assert (
        not row.boolean.view(-1, 9)[:, 1:8].logical_not().any()
    )  # at the left or at the right end
    whole = mask.block(IMAGES, 1, 1, area=(1, 1))
    assert whole.boolean.all()


@pytest.mark.parametrize(("side", "visible", "share"), [(16, 90, (0.28, 0.4)), (14, 69, (0, 0))])
def test_visible_block_is_a_full_rectangle_at_the_known_rate(side, visible, share):
    shown = (
        ~mask.inverse_block(IMAGES, (side, side), visible, roll=False)
        .boolean.view(-1, side, side)
        .numpy()
    )
    assert all(is_block(flags) for flags in shown)
    boxes = [box_of(flags) for flags in shown]
    full = np.mean(
        [(bottom - top + 1) * (right - left + 1) == visible for top, bottom, left, right in boxes]
    )
    assert share[0] <= full <= share[1]


def test_visible_block_follows_the_description():
    theirs = ~described(reference.block.inverse_block, (1, 16, 16), 90, (0.5, 2), False)[:, 0]
    ours = ~mask.inverse_block(IMAGES, (16, 16), 90, roll=False).boolean.view(-1, 16, 16).numpy()
    for side in range(4):
        assert same_law(
            *(np.array([box_of(flags)[side] for flags in shown]) for shown in (ours, theirs))
        )


@pytest.mark.slow
def test_rolled_block_is_one_block_on_the_torus():
    shown = ~mask.inverse_block(IMAGES[:200], (16, 16), 90).boolean.view(-1, 16, 16).numpy()
    assert all(unrolled(flags) is not None for flags in shown)
    wrapped = np.mean([flags[0].any() and flags[-1].any() for flags in shown])
    assert 0.2 < wrapped < 0.8
    many = ~mask.inverse_block(torch.arange(20000), (16, 16), 90).boolean.numpy()
    assert abs(many.mean(0) - 90 / 256).max() < 0.02  # no place is favoured


def test_corners_of_targets_are_uniform():
    ids = mask.multi_block(IMAGES, (14, 14), 20, target=(5, 6), context=(13, 13)).targets
    corners = ids[:, 0, 0]
    counts = torch.bincount(corners, minlength=196).view(14, 14)[:10, :9]
    assert counts.sum() == len(IMAGES)
    assert stats.chisquare(counts.flatten().numpy()).pvalue > 1e-3
    inside = torch.arange(5)[:, None] * 14 + torch.arange(6)
    assert torch.equal(ids, ids[..., :1] + inside.flatten())  # every target is a rectangle


@pytest.mark.parametrize("edges", [False, True])
def test_context_has_no_target_and_keeps_to_the_edges(edges):
    result = mask.multi_block(IMAGES, (14, 14), 30, target=(5, 6), context=(13, 13), edges=edges)
    seen = torch.zeros(len(IMAGES), 196, dtype=torch.bool).scatter_(
        1, result.targets.flatten(1), True
    )
    assert not (seen & ~result.boolean).any()
    touched = (seen | ~result.boolean).view(-1, 14, 14).any(0)
    assert touched[:13, :13].all()
    assert touched[13].any() == touched[:, 13].any() == edges


def test_context_cut_in_raster_order_loses_the_last_rows():
    last = [
        mask.multi_block(
            IMAGES, (14, 14), 20, target=(5, 6), context=(14, 14), raster=raster
        ).visible[:, -1]
        for raster in (True, False)
    ]
    assert last[0].double().mean() + 28 < last[1].double().mean()


@pytest.mark.parametrize(("side", "context"), [(14, 13), (16, 15)])
def test_block_sizes_of_a_step_equal_those_of_the_released_code(side, context):
    steps = range(300)
    law = dict(edges=False, seed=3)
    windows = {
        mask.block_size((side, side), share=(0.85, 1), which=1, step=s, **law) for s in steps
    }
    assert windows == {(context, context)}
    sizes = [
        mask.block_size((side, side), share=(0.15, 0.2), aspect=(0.75, 1.5), step=s, **law)
        for s in steps
    ]
    assert [h for h, w in sorted(sizes)] == sorted(h for h, w in sizes)
    rows, columns = np.array(sizes).T
    assert np.corrcoef(rows, columns)[0, 1] < -0.3  # one number drives both: taller is never wider
    assert sizes == [
        mask.block_size((side, side), share=(0.15, 0.2), aspect=(0.75, 1.5), step=s, **law)
        for s in steps
    ]
    apart = mask.block_size(
        (side, side), share=(0.15, 0.2), aspect=(0.75, 1.5), together=False, **law
    )
    assert all(n > 0 for n in apart)


@given(
    grid=st.tuples(st.integers(1, 3), st.integers(4, 20), st.integers(4, 70)),
    share=st.floats(0, 1),
    largest=st.none() | st.integers(4, 16),
    seed=st.integers(0, 2**63 - 1),
)
@settings(max_examples=60, deadline=None)
def test_counts_are_exact(grid, share, largest, seed):
    n = grid[0] * grid[1] * grid[2]
    hidden = int(share * n)
    exact = mask.block(IMAGES[:3], grid, hidden, area=(4, largest), tries=3, seed=seed)
    assert exact.boolean.sum(1).tolist() == [hidden] * 3
    ragged = mask.ragged_block(IMAGES[:3], grid, hidden, area=(4, largest), tries=3, seed=seed)
    assert ragged.hidden.max() <= hidden
    assert not (ragged.boolean & ~exact.boolean).any()  # the exact form only adds
    visible = hidden // grid[0] * grid[0]
    shown = ~mask.inverse_block(IMAGES[:3], grid, visible, seed=seed).boolean
    assert shown.sum(1).tolist() == [visible] * 3
