"""Known facts about transport in the methods that use it, and faults of their releases."""

import math

import numpy as np
import pytest
import torch

from pymim.ops import sinkhorn
from pymim.ops.sinkhorn.marginals import log_marginals


def random_scores(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).double() * 0.2


def affinity(n, groups, seed=0):
    """|cosines| of points in groups of uneven sizes."""
    generator = torch.Generator().manual_seed(seed)
    centers = torch.randn(groups, 16, generator=generator).double()
    group = (torch.rand(n, generator=generator) ** 3 * groups).long()
    points = centers[group] + 0.3 * torch.randn(n, 16, generator=generator).double()
    points = torch.nn.functional.normalize(points, dim=1)
    return (points @ points.T).abs().clamp_max(1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_position_depends_on_no_other(dtype, device):
    # CAPI: assign all positions, then take the predicted ones, chunk by chunk or at once.
    scores = random_scores(9, 24, 40).to(dtype).to(device)
    whole = sinkhorn.solve(scores, epsilon=0.06)
    predicted = torch.tensor([0, 3, 8])
    some = sinkhorn.solve(scores[predicted], epsilon=0.06)
    assert torch.equal(some.plan, whole.plan[predicted])
    assert torch.equal(some.potentials.column, whole.potentials.column[predicted])
    chunks = [sinkhorn.plan(chunk, epsilon=0.06) for chunk in scores.split(4)]
    assert torch.equal(torch.cat(chunks), whole.plan)
    assert torch.equal(sinkhorn.plan(scores[2], epsilon=0.06), whole.plan[2])


def test_balance_by_position_is_not_balance_over_all():
    # CAPI's is by position, SIGMA's over all tokens: a bias by position and cluster shows only in
    # the second.
    scores = random_scores(6, 32, 8)
    biased = scores + random_scores(6, 1, 8, seed=1) * 5
    by_position = [sinkhorn.plan(each) for each in (scores, biased)]
    over_all = [sinkhorn.plan(each.flatten(0, 1)) for each in (scores, biased)]
    assert (by_position[0] - by_position[1]).abs().max() < 1e-9
    assert (over_all[0] - over_all[1]).abs().max() > 0.1


def test_a_constant_has_no_effect(device):
    # SIGMA's stray factor of the world size, and what else scales all exponentials by one factor.
    scores = random_scores(40, 12).to(device)
    shifted = sinkhorn.plan(scores + 0.05 * math.log(8), iterations=10)
    np.testing.assert_allclose(
        shifted.cpu(), sinkhorn.plan(scores, iterations=10).cpu(), rtol=1e-11
    )


def test_half_precision_scores_of_one_do_not_overflow(device):
    # exp(1 / .05) is infinite in float16.
    plan = sinkhorn.plan(torch.ones(8, 5, dtype=torch.float16, device=device))
    np.testing.assert_allclose(plan.cpu(), np.full((8, 5), 0.2), rtol=1e-6)


def test_loss_of_equal_scores_is_the_logarithm_of_the_columns():
    scores = torch.zeros(16, 3000).double()
    loss = torch.nn.functional.cross_entropy(scores, sinkhorn.plan(scores))
    np.testing.assert_allclose(loss, np.log(3000), rtol=1e-12)


def test_loss_of_hard_targets_can_be_zero():
    scores = torch.nn.functional.normalize(random_scores(256, 40), dim=1)
    labels, soft = sinkhorn.labels(scores, iterations=10), sinkhorn.plan(scores, iterations=10)
    assert labels.dtype == torch.int64
    perfect = 1e3 * torch.nn.functional.one_hot(labels, 40).double()
    assert torch.nn.functional.cross_entropy(perfect, labels) == 0
    floor = torch.nn.functional.cross_entropy(soft.log(), soft)
    assert floor > 0.5
    np.testing.assert_allclose(floor, torch.special.entr(soft).sum(1).mean(), rtol=1e-9)


def test_partial_transport_reports_its_error(device):
    # P2OT's fixed steps stop short of the plan; here `error` says how short, and a tolerance makes
    # it shorter.
    scores = random_scores(20, 4).log_softmax(1).to(device)
    options = dict(epsilon=0.1, mass=0.1, column_relax=1.0, iterations=3000)
    limit = sinkhorn.plan(scores, **options)
    missed = []
    for tolerance in (1e-4, 1e-6, 1e-8):
        result = sinkhorn.solve(scores, tolerance=tolerance, **options)
        assert result.potentials.error <= tolerance
        missed.append((result.plan - limit).abs().sum() / limit.sum())
        assert missed[-1] < 300 * tolerance
    assert missed[0] > missed[1] > missed[2]


def test_strong_column_relaxation_is_finite(device):
    # SP2OT's default weight of 1000 ends in NaN in its release; nearly met sums are those that are
    # met.
    scores = random_scores(60, 8).log_softmax(1).to(device)
    options = dict(epsilon=0.1, mass=0.5, iterations=200)
    strong = sinkhorn.plan(scores, column_relax=1000.0, **options).cpu()
    np.testing.assert_allclose(strong, sinkhorn.plan(scores, **options).cpu(), rtol=1e-2)


def test_ten_half_steps_are_not_doubly_stochastic(device):
    # CPP counts half-steps: its 10 are 5 iterations, and the side that is not last is off by
    # percents.
    matrix = affinity(60, 6)
    expected = (matrix / 0.175).exp()
    for half_step in range(10):
        expected = expected / expected.sum(1 - half_step % 2, keepdim=True)
    matrix = matrix.to(device)
    plan = sinkhorn.plan(matrix, epsilon=0.175, iterations=5, first="rows", last="columns").cpu()
    np.testing.assert_allclose(plan, expected, rtol=1e-10)
    assert (plan.sum(1) - 1).abs().max() > 0.03
    symmetric = sinkhorn.doubly_stochastic(matrix, epsilon=0.175, tolerance=1e-6).plan.cpu()
    np.testing.assert_allclose(symmetric.sum(1), np.ones(60), atol=1e-4)
    np.testing.assert_allclose(symmetric, symmetric.T, rtol=1e-12)


def test_probabilities_to_the_power_25(device):
    # SeLa: softmax^25 in float64; it stops where the scalings of the samples change by .1 in all,
    # looked at every tenth iteration.
    logits = random_scores(150, 10) * 5
    power = logits.softmax(1) ** 25
    column, row, change, iterations = None, torch.ones(150).double(), math.inf, 0
    while change > 0.1:
        before = row
        column = (1 / 10) / (power.T @ row)
        row = (1 / 150) / (power @ column)
        iterations += 1
        change = (before / row - 1).abs().sum() if iterations % 10 == 0 else math.inf
    expected = power * row[:, None] * column * 150
    scores = logits.log_softmax(1).to(device)
    plan = sinkhorn.plan(scores, epsilon=1 / 25, iterations=iterations)
    np.testing.assert_allclose(plan.cpu(), expected, rtol=1e-8, atol=1e-15)
    stopped = sinkhorn.labels(scores, epsilon=1 / 25, iterations=2000, tolerance=1e-4).cpu()
    assert (stopped == expected.argmax(1)).float().mean() > 0.98
    assert stopped.bincount(minlength=10).max() < 2 * 15


@pytest.mark.parametrize("side", ["rows", "columns"])
def test_sums_on_another_device_are_refused(side):
    sums = {"rows": torch.ones(4), "columns": torch.ones(4), side: torch.ones(4, device="meta")}
    with pytest.raises(
        ValueError, match=f"sinkhorn: {side}: expected sums on cpu, got meta; move them there"
    ):
        log_marginals(torch.zeros(0), (1, 4, 4), mass=0.0, **sums)
