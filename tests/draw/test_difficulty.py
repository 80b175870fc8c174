"""What is hard and what is hidden for it, as a picture."""

import functools

import pytest
import torch

from pymim import losses, masks, predictors, targets
from pymim.contracts import Draw
from pymim.draw import difficulty
from pymim.encoders import Momentum
from pymim.objective import Objective
from pymim.rankers import PredictedLoss
from pymim.schedule import Linear
from tests.asking import ask
from tests.test_method import TINY, make_batch, make_method

RANKER = functools.partial(PredictedLoss, predictor=TINY, momentum=functools.partial(Momentum, momentum=0.9))
RISING = masks.Ranked(0.75, Linear(0, 0.5), steps=100)


def nothing(view):
    return view


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sides", [(16, 24), (8, 16, 24)])
def test_any_ranked_method_is_drawn(tmp_path, sides, channels):
    clip = len(sides) == 3
    method = make_method(
        channels, sides, (2, 4, 4) if clip else 4, mask=masks.Repeated(RISING) if clip else RISING, ranker=RANKER
    )
    made = difficulty.draw(method, make_batch(3, channels, sides), 100, tmp_path / "picture.png", nothing)
    assert made
    assert (tmp_path / "picture.png").stat().st_size > 5000


@pytest.mark.parametrize("slots", [{}, {"ranker": functools.partial(RANKER, momentum=None), "mask": RISING}])
def test_nothing_is_drawn_where_no_ranker_has_an_opinion(tmp_path, slots):
    assert not difficulty.draw(make_method(**slots), make_batch(), 100, tmp_path / "picture.png", nothing)
    assert not list(tmp_path.iterdir())


def test_losses_are_measured_where_patches_are_hidden():
    raw = functools.partial(targets.Pixels, normalise="none")
    zero = functools.partial(predictors.Transformer, dim=24, depth=1, heads=2)
    method, batch = (
        make_method(objectives=[Objective(raw, zero, losses.MSE())], mask=masks.Ranked(0.75)),
        make_batch(),
    )
    with torch.no_grad():
        method.objectives[0].predictor.head.weight.zero_()
    found = difficulty.losses(method, method.objectives[0], batch, (4, 6))
    exact = ask(method.objectives[0].target, batch).square().mean(-1)
    seen = found > 0
    assert seen.float().mean() > 0.95
    torch.testing.assert_close(found[seen], exact[seen])


def test_rank_correlation_is_that_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    torch.manual_seed(0)
    first = torch.randn(3, 40)
    second = first + torch.randn(3, 40)
    expected = sum(stats.spearmanr(a, b).statistic for a, b in zip(first, second, strict=True)) / 3
    assert difficulty.correlation(first, second) == pytest.approx(expected, abs=1e-5)


def test_only_hidden_patches_are_covered():
    shown, guess = torch.ones(1, 3, 8, 8), torch.zeros(1, 3, 4)
    mask = masks.Uniform(0.5)(torch.arange(1), (2, 2), Draw(0, 0))
    covered = difficulty._covered(mask, torch.arange(4.0)[None], guess, (2, 2), shown)
    hidden = mask.boolean(4).view(2, 2).repeat_interleave(4, 0).repeat_interleave(4, 1)
    assert torch.equal(covered[0, 0] != 1, hidden)
