"""Doubly stochastic memberships: the op's values, and gradients by finite differences."""

import pytest
import torch

from pymim.clusters import memberships
from pymim.ops import sinkhorn


def affinity(n=9, dtype=torch.float32):
    rows = torch.nn.functional.normalize(
        torch.randn(n, 4, generator=torch.Generator().manual_seed(2)).to(dtype)
    )
    made = rows @ rows.T
    return (made + made.T) / 2


@pytest.mark.parametrize("iterations", [1, 2, 30])
def test_values_equal_those_of_the_op(iterations):
    expected = sinkhorn.doubly_stochastic(
        affinity(), epsilon=0.3, iterations=iterations, tolerance=0
    ).plan
    torch.testing.assert_close(
        memberships(affinity(), 0.3, iterations), expected, rtol=1e-4, atol=1e-6
    )


def test_rows_and_columns_sum_to_one_and_it_stays_symmetric():
    found = memberships(torch.stack([affinity(), affinity().roll(1, 0).roll(1, 1)]), 0.3, 60)
    torch.testing.assert_close(found.sum(-1), torch.ones(2, 9))
    torch.testing.assert_close(found, found.mT)
    torch.testing.assert_close(found[1].roll(-1, 0).roll(-1, 1), found[0])


@pytest.mark.parametrize("iterations", [1, 5])
def test_gradients_are_those_of_finite_differences(iterations):
    given = affinity(5, torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda a: memberships(a, 0.3, iterations), given)


def test_a_gradient_through_the_limit_leaves_the_sums_alone():
    given = affinity(6, torch.float64).requires_grad_()
    memberships(given, 0.3, 200).sum(1)[2].backward()
    assert given.grad.abs().max() < 1e-8  # a row's sum is 1 whatever the affinity


def test_wide_affinities_do_not_overflow():
    given = (300 * affinity()).requires_grad_()
    found = memberships(given, 0.05, 20)
    found.square().sum().backward()
    assert found.isfinite().all() and given.grad.isfinite().all()


def test_what_is_not_square_is_refused():
    with pytest.raises(
        ValueError, match=r"memberships: affinity: expected a square \[... N N\], got \[3, 4\]"
    ):
        memberships(torch.zeros(3, 4))
    with pytest.raises(ValueError, match="memberships: iterations: expected at least 1, got 0"):
        memberships(torch.zeros(3, 3), iterations=0)
