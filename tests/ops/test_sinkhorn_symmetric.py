"""Sinkhorn of a symmetric affinity, both sides at once: alone, over ranks, of points themselves."""

import numpy as np
import pytest
import torch

from pymim.ops import sinkhorn
from tests.ops.ranks import two_ranks

OPTIONS = dict(epsilon=0.175, iterations=500, tolerance=1e-10)


def points(*shape):
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(0)).double()
    return torch.nn.functional.normalize(drawn, dim=-1)


def affinity(*shape):
    product = (points(*shape) @ points(*shape).mT).abs()
    return (product + product.mT) / 2


def test_is_symmetric_and_doubly_stochastic():
    result = sinkhorn.doubly_stochastic(affinity(2, 40, 8), **OPTIONS)
    np.testing.assert_allclose(result.plan.sum(1), np.ones((2, 40)), rtol=1e-8)
    np.testing.assert_allclose(result.plan, result.plan.mT, rtol=1e-12)
    alternating = sinkhorn.plan(affinity(2, 40, 8), epsilon=0.175, iterations=2000, tolerance=1e-10)
    np.testing.assert_allclose(result.plan, alternating, rtol=1e-6)


@pytest.mark.parametrize("shape", [(50, 6), (3, 50, 6)])
def test_two_ranks_are_one(shape):
    whole, alone = affinity(*shape), sinkhorn.doubly_stochastic(affinity(*shape), **OPTIONS)
    rows = [slice(17), slice(17, 50)]
    both = two_ranks(
        lambda rank, g: sinkhorn.doubly_stochastic(
            whole[..., rows[rank], :].clone(), group=g, **OPTIONS
        )
    )
    for mine, result in zip(rows, both, strict=True):
        np.testing.assert_allclose(result.plan, alone.plan[..., mine, :], rtol=1e-9)
        np.testing.assert_allclose(
            result.potentials.row, alone.potentials.row[..., mine], rtol=1e-9
        )
        np.testing.assert_allclose(result.potentials.column, alone.potentials.column, rtol=1e-9)
        assert torch.equal(result.potentials.iterations, alone.potentials.iterations)


def test_points_with_themselves_are_their_affinity():
    given = points(2, 30, 5)
    product = given @ given.mT
    alone = sinkhorn.doubly_stochastic((product + product.mT) / 2, **OPTIONS)
    result = sinkhorn.doubly_stochastic(sinkhorn.Product(given, given), **OPTIONS)
    np.testing.assert_allclose(result.plan, alone.plan, rtol=1e-9)
    parts = [sinkhorn.Product(given[:, mine], given) for mine in (slice(8), slice(8, 30))]
    both = two_ranks(
        lambda rank, group: sinkhorn.doubly_stochastic(parts[rank], group=group, **OPTIONS)
    )
    np.testing.assert_allclose(torch.cat([each.plan for each in both], 1), alone.plan, rtol=1e-9)


def test_bad_input_is_refused():
    given = points(6, 4)
    for asymmetric in (
        torch.arange(4.0).reshape(2, 2),
        torch.ones(2, 3),
        sinkhorn.Product(given, given.flip(0)),
    ):
        with pytest.raises(
            ValueError, match="doubly_stochastic: affinity: expected a symmetric one"
        ):
            sinkhorn.doubly_stochastic(asymmetric)
    with pytest.raises(ValueError, match="doubly_stochastic: iterations: expected at least 1"):
        sinkhorn.doubly_stochastic(torch.eye(2), iterations=0)
    with pytest.raises(ValueError, match="sinkhorn: scores: expected finite numbers"):
        sinkhorn.doubly_stochastic(torch.full((2, 2), torch.inf))
