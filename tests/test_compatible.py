"""What does not fit is refused in one line, when the method is built or before its first step."""

import pytest
from torch import nn

from pymim import losses, masks, targets
from pymim.contracts import Made
from pymim.errors import ConfigError
from pymim.objective import Objective
from tests.test_method import TINY, make_batch, make_method
from tests.test_objective import Counted, First, Whole


class Reduced:
    def __call__(self, prediction, target):
        return (prediction - target).square().mean()


class Narrow(nn.Module):
    """A target that does not say its width."""

    def forward(self, asked):
        return asked.view


class Hooked(Counted):
    def after_steps(self, encoder, step):
        """Never called: the hook is after_step."""


class Old(Counted):
    def forward(self, views, view, mask, index):
        return view


class NoDifficulty:
    def __call__(self, index, grid, draw):
        return masks.Uniform()(index, grid, draw)


class Losses(nn.Module):
    """A ranker whose `losses` should be `loss`."""

    def __init__(self, encoder, objectives):
        super().__init__()

    def forward(self, batch, draw):
        return None

    def losses(self, branch, losses):
        return None


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (
            {"objectives": [Objective(lambda e: Narrow(), TINY, First())]},
            "expected a whole number as Narrow.width",
        ),
        (
            {"objectives": [Objective(Hooked, TINY, First())]},
            "expected a hook's method after_step",
        ),
        ({"objectives": [Objective(Old, TINY, First())]}, r"target: expected Old.forward\(asked\)"),
        ({"mask": NoDifficulty()}, r"mask: expected NoDifficulty\(index, grid, draw, difficulty\)"),
        (
            {"mask": masks.Uniform(0.0)},
            "expected patches to predict, got none, as Uniform hides nothing",
        ),
        ({"ranker": Losses}, "Losses.losses: expected a ranker's method loss, got losses"),
        (
            {"objectives": [Objective(Counted, TINY, First(), source=((0, 1),))]},
            "expected a mask from 0 to 0",
        ),
        (
            {"objectives": [Objective(Counted, TINY, First(), on="pooled")]},
            "expected predicted, visible or all",
        ),
    ],
)
def test_mistakes_are_refused_when_the_method_is_built(options, reason):
    with pytest.raises(ValueError, match=reason) as error:
        make_method(**options)
    assert "\n" not in str(error.value)


def test_a_loss_that_reduces_too_early_is_refused_before_the_first_step():
    method = make_method(objectives=[Objective(targets.Pixels, TINY, Reduced())])
    with pytest.raises(
        ConfigError, match=r"expected one number per patch, \[4, 18\], got \[\] from Reduced"
    ):
        method(make_batch(), 0)


def test_a_view_that_the_loader_does_not_make_is_refused():
    for options in ({"source": 3}, {"to": 1}):
        method = make_method(objectives=[Objective(targets.Pixels, TINY, losses.MSE(), **options)])
        with pytest.raises(ConfigError, match=r"source, to: expected views from 0 to 0, got [13]"):
            method.check_views(1)


def test_weights_that_a_loss_of_the_whole_batch_would_drop_are_refused():
    class Weighed(Counted):
        def forward(self, asked):
            values = super().forward(asked)
            return Made(values, weight=values.new_ones(values.shape[:2]))

    method = make_method(objectives=[Objective(Weighed, TINY, Whole())])
    with pytest.raises(
        ConfigError,
        match="one number per patch, as the target or the predictor weighs patches, got Whole",
    ):
        method(make_batch(), 0)
