"""A collapse shows: in ranks, in how clusters are used, and in a loss that stays at chance."""

import math

import pytest
import torch

from pymim import losses, predictors, targets
from pymim.loop.gauges import Gauges, effective_rank
from pymim.objective import Objective
from tests.test_method import Labels, make_batch, make_method


def test_effective_rank_counts_directions():
    torch.manual_seed(0)
    assert effective_rank(torch.randn(5000, 6)).item() == pytest.approx(6, rel=1e-2)
    assert effective_rank(torch.randn(5000, 2) @ torch.eye(2, 6)).item() == pytest.approx(2, rel=1e-2)
    assert effective_rank(torch.randn(5000, 1) * torch.ones(6)).item() == pytest.approx(1, rel=1e-2)
    assert effective_rank(torch.ones(50, 6)).item() == 0
    assert effective_rank(torch.randn(500, 6).bfloat16() + 100).dtype == torch.float32


def test_a_collapse_is_below_the_alarm_in_any_width():
    """As singular values of float64 say: rounding of float32 squared is no direction."""
    torch.manual_seed(0)
    one = torch.randn(2048, 1) * torch.randn(1, 768)
    values = torch.linalg.svdvals(one.double() - one.double().mean(0))
    shares = values / values.sum()
    expected = float(torch.special.entr(shares).sum().exp())
    assert effective_rank(one).item() == pytest.approx(expected, abs=0.02) and expected < 1.01


def test_tokens_of_every_place_are_looked_at():
    """49 visible of each picture, where a stride of 49 sees the first one alone."""
    places = torch.arange(49.0).expand(2048, 49)[..., None]
    seen = Gauges()._some(places)
    assert len(seen) == 2048 and len(seen.unique()) == 49
    assert torch.equal(seen, Gauges()._some(places))


class Chance(Labels):
    chance = math.log(7)

    def gauges(self, prediction, target):
        return {"used": torch.tensor(0.5)}


class Learnt(targets.Pixels):
    def __init__(self, encoder):
        super().__init__(encoder)
        self.gain = torch.nn.Parameter(torch.ones(()))

    def forward(self, *arguments):
        return super().forward(*arguments) * self.gain


def test_every_objective_says_what_it_knows():
    objectives = [
        Objective(Chance, predictors.Pooled, losses.CrossEntropy(), on="pooled", name="labels"),
        Objective(targets.Pixels, predictors.Linear, losses.MSE(), name="pixels"),
        Objective(Learnt, predictors.Linear, losses.MSE(), name="learnt"),
    ]
    method = make_method(objectives=objectives, mask=None)
    with torch.no_grad():
        method.objectives[0].predictor.head.weight.zero_()
    values = Gauges()(method, method(make_batch(), 0))
    assert set(values) == {
        "features/rank",
        "labels/used",
        "labels/of_chance",
        "learnt/target_rank",
        "learnt/target_std",
    }
    assert values["labels/of_chance"] == pytest.approx(1)
    assert values["labels/used"] == 0.5
    assert 1 < values["features/rank"] <= 24


def test_what_lasts_is_complained_once():
    gauges = Gauges(patience=3)
    bad = {"features/rank": 1.0, "labels/of_chance": 0.995, "learnt/target_std": 1e-3, "loss": 1.0}
    told = [gauges.complaints(bad) for _ in range(5)]
    assert [len(lines) for lines in told] == [0, 0, 3, 0, 0]
    assert told[2][2] == (
        "collapse? labels/of_chance has been at 0.995 for 3 reports: the loss is that of knowing nothing"
    )
    good = {"features/rank": 5.0, "labels/of_chance": 0.9}
    assert [gauges.complaints(values) for values in (bad, bad, good, bad, bad)] == [[]] * 5
