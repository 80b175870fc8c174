"""What is hard and what is hidden for it, as a picture."""

import functools

import pytest
import torch

from pymim import losses, masks, predictors, targets
from pymim.contracts import Draw
from pymim.draw import difficulty
from pymim.encoders import Momentum, ViT
from pymim.layers.patch import patchify
from pymim.method import Method
from pymim.objective import Objective
from pymim.rankers import PredictedLoss, Sampler
from pymim.schedule import Ramp
from tests.asking import ask
from tests.test_method import TINY, make_batch, make_method

RANKER = functools.partial(
    PredictedLoss, predictor=TINY, momentum=functools.partial(Momentum, momentum=0.9)
)
RISING = masks.Ranked(0.75, Ramp(0, 0.5), steps=100)


def nothing(view):
    return view


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sides", [(16, 24), (8, 16, 24)])
def test_any_ranked_method_is_drawn(tmp_path, sides, channels):
    clip = len(sides) == 3
    method = make_method(
        channels,
        sides,
        (2, 4, 4) if clip else 4,
        mask=masks.Repeated(RISING) if clip else RISING,
        ranker=RANKER,
    )
    made = difficulty.draw(
        method, make_batch(3, channels, sides), 100, tmp_path / "picture.png", nothing
    )
    assert made
    assert (tmp_path / "picture.png").stat().st_size > 5000


@pytest.mark.parametrize(
    "slots", [{}, {"ranker": functools.partial(RANKER, momentum=None), "mask": RISING}]
)
def test_nothing_is_drawn_without_scores_of_a_ranker(tmp_path, slots):
    assert not difficulty.draw(
        make_method(**slots), make_batch(), 100, tmp_path / "picture.png", nothing
    )
    assert not list(tmp_path.iterdir())


class Edges(torch.nn.Module):
    """A user's ranker, which learns nothing: how much a patch varies."""

    def __init__(self, encoder, objectives):
        super().__init__()

    def forward(self, batch, draw):
        return patchify(batch.views[draw.view], (4, 4)).var(-1)


@pytest.mark.parametrize("ranker", [functools.partial(Sampler, heads=2), Edges])
@pytest.mark.parametrize(
    "mask", [masks.Weighted(0.75), masks.Several((masks.Weighted(0.75), masks.Ranked(0.5)))]
)
def test_any_ranker_with_scores_is_drawn(tmp_path, ranker, mask):
    count = getattr(mask, "masks_per_view", 1)
    several = functools.partial(Objective, targets.Pixels, TINY, losses.MSE())
    objectives = [several(source=((1, n),), name=f"of {n}") for n in range(count)]
    method = make_method(mask=mask, ranker=ranker, objectives=objectives)
    assert difficulty.draw(method, make_batch(3, views=2), 10, tmp_path / "picture.png", nothing)
    found = difficulty.losses(method, objectives[-1], make_batch(3, views=2))
    assert found.shape == (3, 24) and (found > 0).float().mean() > 0.9


def test_objectives_without_a_loss_of_each_hidden_patch_are_passed_over(tmp_path):
    whole = Objective(targets.Pixels, TINY, losses.MSE(), on="all", name="whole")
    ranked = functools.partial(make_method, mask=masks.Weighted(0.75), ranker=Edges)
    assert not difficulty.draw(
        ranked(objectives=[whole]), make_batch(), 10, tmp_path / "picture.png", nothing
    )
    hidden = Objective(targets.Pixels, TINY, losses.MSE(), name="hidden")
    whole = Objective(targets.Pixels, TINY, losses.MSE(), on="all", name="whole")
    method = ranked(objectives=[whole, hidden])
    assert difficulty.draw(method, make_batch(), 10, tmp_path / "picture.png", nothing)
    bare = ranked(
        objectives=[Objective(targets.Pixels, TINY, losses.MSE())], mask=masks.ByView((), None)
    )
    assert not difficulty.draw(bare, make_batch(), 10, tmp_path / "none.png", nothing)


def test_padding_does_not_count():
    """A ragged mask repeats ids at weight 0: a patch's loss is the mean over masks that hid it."""
    torch.manual_seed(0)
    encoder = ViT(24, 1, 2, image=56, patch=4, hidden="token")
    raw = functools.partial(targets.Pixels, normalise="none")
    method = Method(
        encoder, [Objective(raw, predictors.OneLayer, losses.MSE())], masks.RaggedBlock(0.385)
    )
    with torch.no_grad():
        method.objectives[0].predictor.head.weight.zero_()
    batch = make_batch(2, sides=(56, 56))
    found = difficulty.losses(method, method.objectives[0], batch)
    exact = ask(method.objectives[0].target, batch).square().mean(-1)
    ratio = found[found > 0] / exact[found > 0]
    torch.testing.assert_close(ratio, torch.ones_like(ratio), rtol=0.05, atol=0)


def test_losses_are_measured_where_patches_are_hidden():
    raw = functools.partial(targets.Pixels, normalise="none")
    zero = functools.partial(predictors.Transformer, dim=24, depth=1, heads=2)
    method, batch = (
        make_method(objectives=[Objective(raw, zero, losses.MSE())], mask=masks.Ranked(0.75)),
        make_batch(),
    )
    with torch.no_grad():
        method.objectives[0].predictor.head.weight.zero_()
    found = difficulty.losses(method, method.objectives[0], batch)
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
