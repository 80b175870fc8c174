"""Transport with a mass, given sizes and schedules, against POT and the op's own plan."""

import numpy as np
import pytest
import torch

from pymim.clusters import Transport
from pymim.losses import Swapped
from pymim.ops import sinkhorn
from pymim.schedule import Ramp

ot = pytest.importorskip("ot")
SCORES = torch.randn(30, 9, generator=torch.Generator().manual_seed(3)) * 0.3
UNIFORM, SIZES = np.full(30, 1 / 30), np.arange(1, 10) / 45
EXACT = {"epsilon": 0.1, "iterations": 5000, "tolerance": 1e-7}
JUDGE = {"numItermax": 5000, "stopThr": 1e-13, "warn": False}


def shares_of(transport, scores=SCORES):
    return transport.shares(scores[:, None], transport.column(scores)[None])[:, 0]


def test_given_sizes_are_met():
    expected = 30 * ot.sinkhorn(UNIFORM, SIZES, -SCORES.double().numpy(), 0.1, **JUDGE)
    for sizes in (list(SIZES), torch.arange(1, 10)):  # relative ones
        shares = shares_of(Transport(columns=sizes, **EXACT))
        np.testing.assert_allclose(shares, expected, rtol=2e-4, atol=1e-6)
    np.testing.assert_allclose(shares.sum(0), 30 * SIZES, rtol=1e-4)


def test_a_mass_is_a_cluster_that_costs_nothing():
    scores = np.concatenate([SCORES.double().numpy(), np.zeros((30, 1))], 1)
    columns = np.append(np.full(9, 0.6 / 9), 0.4)
    expected = 30 * ot.sinkhorn(UNIFORM, columns, -scores, 0.1, **JUDGE)[:, :9]
    transport = Transport(mass=0.6, **EXACT)
    shares = shares_of(transport)
    np.testing.assert_allclose(shares, expected, rtol=2e-4, atol=1e-6)
    assert shares.sum().item() == pytest.approx(18, rel=1e-4)
    assert (shares.sum(1) < 1).all()
    labels = transport.labels(SCORES[:, None], transport.column(SCORES)[None])[:, 0]
    assert torch.equal(labels, shares.argmax(1))


@pytest.mark.filterwarnings("ignore:If reg_type = entropy")
def test_a_penalty_lets_cluster_sizes_differ_from_the_given_ones():
    expected = 30 * ot.unbalanced.sinkhorn_unbalanced(
        UNIFORM, SIZES, -SCORES.double().numpy(), 0.1, (np.inf, 0.4), reg_type="entropy", **JUDGE
    )
    shares = shares_of(Transport(columns=list(SIZES), column_relax=0.4, **EXACT))
    np.testing.assert_allclose(shares, expected, rtol=1e-3, atol=1e-5)
    assert (shares.sum(0) - 30 * torch.from_numpy(SIZES)).abs().max() > 0.1


@pytest.mark.parametrize("iterations", [1, 3])
@pytest.mark.parametrize(
    "options", [{"mass": 0.3, "column_relax": 1.0}, {"mass": 0.9}, {"column_relax": 0.2}]
)
def test_shares_are_the_plan_however_few_the_iterations(options, iterations):
    shares = shares_of(Transport(0.1, iterations, **options))
    plan = sinkhorn.plan(SCORES, epsilon=0.1, iterations=iterations, **options)
    torch.testing.assert_close(shares, plan, rtol=1e-4, atol=1e-6)


def test_shares_of_places_with_a_mass():
    scores = torch.stack([SCORES, SCORES.flip(0) * 2])  # two places
    transport = Transport(0.1, 3, by="position", mass=0.5)
    column, ids = transport.column(scores), torch.ones(30, 1, dtype=torch.int64)
    whole = transport.shares(scores.transpose(0, 1), column)
    asked = transport.shares(scores.transpose(0, 1)[:, 1:], column, ids)
    torch.testing.assert_close(asked, whole[:, 1:])
    torch.testing.assert_close(whole[:, 1], shares_of(transport, scores[1]))


def test_epsilon_mass_and_penalty_may_follow_a_schedule():
    transport = Transport(
        Ramp(0.1, 0.3), mass=Ramp(0.2, 1.0), column_relax=Ramp(2.0, 1.0), steps=100
    )
    now = transport.at(50)
    assert (now.epsilon, now.mass, now.column_relax) == pytest.approx((0.2, 0.6, 1.5))
    assert torch.equal(shares_of(now), shares_of(Transport(0.2, mass=0.6, column_relax=1.5)))
    assert callable(transport.epsilon)  # the schedule is still there
    with pytest.raises(
        ValueError, match="Transport: epsilon: expected a number, got a schedule; call at"
    ):
        transport.column(SCORES)
    with pytest.raises(
        ValueError, match="Swapped: transport: expected numbers, as a loss does not know the step"
    ):
        Swapped(transport=transport)
