"""Policies put together: by view, several of one view; and what cannot be wrapped."""

import pytest
import torch

from pymim import losses, masks, targets
from pymim.contracts import Draw, Source
from pymim.errors import ConfigError
from pymim.objective import Objective
from tests.test_method import TINY, make_batch, make_method

INDEX = torch.arange(4) + 7


def test_each_view_has_its_own_policy_and_the_rest_another():
    policy = masks.ByView((None, masks.Uniform(0.5)), rest=masks.Uniform(0.25))
    assert policy(INDEX, (4, 4), Draw(0, 0, 0)) is None
    assert policy(INDEX, (4, 4), Draw(0, 0, 1)).hidden.shape == (4, 8)
    assert policy(INDEX, (4, 4), Draw(0, 0, 5)).hidden.shape == (4, 4)
    assert masks.ByView((None,))(INDEX, (4, 4), Draw(0, 0, 9)) is None
    expected = masks.Uniform(0.5)(INDEX, (4, 4), Draw(3, 2, 1))
    assert torch.equal(policy(INDEX, (4, 4), Draw(3, 2, 1)).hidden, expected.hidden)


def test_a_method_masks_one_view_and_not_the_other():
    objective = Objective(targets.Pixels, TINY, losses.MSE(), source=1)
    method = make_method(objectives=[objective], mask=masks.ByView((None, masks.Uniform(0.75))))
    out = method(make_batch(views=2), 0)
    ((source, branch),) = out.branches.items()
    assert source.view == 1 and branch.mask.hidden.shape == (4, 18)
    whole = method.start(make_batch(views=2), 0).encode(Source(0))
    assert whole.mask is None and whole.features.tokens.shape[1] == 24


def test_a_view_whose_policy_hides_nothing_cannot_be_predicted_from():
    objective = Objective(targets.Pixels, TINY, losses.MSE(), source=1)
    with pytest.raises(
        ValueError,
        match="Objective pixels: on: expected patches to predict, got none, as ByView hid",
    ):
        make_method(
            objectives=[objective], mask=masks.ByView((masks.Uniform(0.75), masks.Uniform(0.0)))
        )


def test_policies_of_a_view_agree_in_their_number_of_masks():
    assert masks.ByView((masks.Disjoint(masks_per_view=3), None)).masks_per_view == 3
    with pytest.raises(
        ValueError,
        match=r"ByView: policies: expected the same number of masks from each, got \[1, 2\]",
    ):
        masks.ByView((masks.Disjoint(masks_per_view=2), masks.Uniform()))


def test_several_masks_of_a_view_are_drawn_apart():
    policy = masks.Several(
        (masks.Uniform(0.5), masks.Uniform(0.5), None, masks.Disjoint(0.5, masks_per_view=2))
    )
    assert policy.masks_per_view == 5
    first, second, whole, third, fourth = policy(INDEX, (8, 8), Draw(1, 2))
    assert whole is None
    assert torch.equal(first.hidden, masks.Uniform(0.5)(INDEX, (8, 8), Draw(1, 2)).hidden)
    assert not torch.equal(first.hidden, second.hidden)
    overlap = (first.boolean(64) & second.boolean(64)).float().mean()
    assert 0.15 < overlap < 0.35  # a quarter, where they are independent
    assert (third.boolean(64) ^ fourth.boolean(64)).all()
    again = policy(INDEX.flip(0), (8, 8), Draw(1, 2))
    assert torch.equal(again[1].hidden.flip(0), second.hidden)


def test_short_and_long_blocks_of_a_clip():
    short = masks.MultiBlock(0.1, blocks=8, share=(0.15, 0.15), context=(1.0, 1.0))
    long = masks.MultiBlock(0.02, blocks=2, share=(0.7, 0.7), context=(1.0, 1.0))
    policy = masks.Several((short, long))
    first, second = policy(INDEX, (4, 14, 14), Draw(0, 0))
    assert (first.groups, second.groups) == (8, 2)
    assert first.visible.shape == (4, 4 * 19) and second.visible.shape == (4, 4 * 3)


def test_several_needs_a_policy():
    with pytest.raises(ValueError, match="Several: policies: expected one or more, got none"):
        masks.Several(())


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (
            masks.Repeated(masks.Disjoint()),
            "Repeated: policy: expected one mask from Disjoint, got list",
        ),
        (
            masks.Repeated(masks.MultiBlock(0.1)),
            "Repeated: policy: expected one that predicts all hidden patches and nothing else, "
            "got Mul",
        ),
        (
            masks.PredictShare(masks.MultiBlock(0.1)),
            "PredictShare: policy: expected one that predicts all hidden patches and nothing else, "
            "got MultiBlock",
        ),
        (
            masks.PredictShare(masks.ByView(())),
            "PredictShare: policy: expected one mask from ByView, got NoneType",
        ),
        (
            masks.Repeated(masks.RaggedBlock()),
            "Repeated: policy: expected one that predicts all hidden patches and nothing else, "
            "got Ragg",
        ),
    ],
)
def test_policies_whose_masks_would_lose_something_are_not_wrapped(policy, message):
    with pytest.raises(ConfigError, match=message):
        policy(INDEX, (2, 14, 14), Draw(0, 0))
