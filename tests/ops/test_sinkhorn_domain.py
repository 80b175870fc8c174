"""Sinkhorn by its scalings against Sinkhorn by their logarithms."""

import numpy as np
import pytest
import torch

from pymim import _core
from pymim.ops import sinkhorn

OPTIONS = [
    dict(),
    dict(first="rows", last="columns"),
    dict(first="rows", iterations=7),
    dict(row_relax=0.5, column_relax=0.3),
    dict(mass=0.3),
    dict(iterations=500, tolerance=1e-4),
]


def random_scores(*shape, spread=0.2):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)) * spread


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 37, 21), (1, 150, 1024)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_log_and_scaling_domains_agree(shape, dtype, options):
    scores = random_scores(*shape).to(dtype)
    scaled, logged = (
        sinkhorn.solve(scores, **options),
        sinkhorn.solve(scores, domain="log", **options),
    )
    tolerance = 1e-11 if dtype == torch.float64 else 1e-4
    np.testing.assert_allclose(scaled.plan, logged.plan, rtol=tolerance, atol=tolerance * 1e-3)
    np.testing.assert_allclose(
        scaled.potentials.row, logged.potentials.row, rtol=tolerance, atol=tolerance
    )
    np.testing.assert_allclose(
        scaled.potentials.column, logged.potentials.column, rtol=tolerance, atol=tolerance
    )
    np.testing.assert_allclose(
        scaled.potentials.error, logged.potentials.error, atol=10 * tolerance
    )


@pytest.mark.skipif(_core.emulated, reason="the CUDA kernels compute by logarithms always")
def test_a_problem_out_of_range_is_solved_in_the_log_domain():
    scores = torch.stack([random_scores(60, 40), random_scores(60, 40, spread=20)])
    either, logged = (
        sinkhorn.solve(scores, epsilon=0.06),
        sinkhorn.solve(scores, epsilon=0.06, domain="log"),
    )
    assert not torch.equal(either.potentials.row[0], logged.potentials.row[0])
    assert torch.equal(either.plan[1], logged.plan[1])
    assert torch.equal(either.potentials.row[1], logged.potentials.row[1])
    assert torch.equal(either.potentials.column[1], logged.potentials.column[1])
