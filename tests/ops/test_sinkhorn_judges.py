"""Sinkhorn against POT, which iterates by itself."""

import numpy as np
import pytest
import torch

from pymim.ops import sinkhorn

ot = pytest.importorskip("ot")
SCORES = torch.randn(30, 9, generator=torch.Generator().manual_seed(3)).double() * 0.3
ROWS = torch.full((30,), 1 / 30).double()
COLUMNS = torch.arange(1, 10).double() / 45
EXACT = dict(epsilon=0.1, rows=ROWS, columns=COLUMNS, iterations=5000, tolerance=1e-13)


@pytest.mark.slow
def test_balanced_plan_equals_that_of_pot():
    expected = ot.sinkhorn(
        ROWS.numpy(),
        COLUMNS.numpy(),
        -SCORES.numpy(),
        0.1,
        numItermax=5000,
        stopThr=1e-13,
        warn=False,
    )
    np.testing.assert_allclose(sinkhorn.plan(SCORES, **EXACT), expected, rtol=1e-8)


@pytest.mark.filterwarnings("ignore:If reg_type = entropy")
@pytest.mark.slow
def test_relaxed_plan_equals_that_of_pot():
    expected = ot.unbalanced.sinkhorn_unbalanced(
        ROWS.numpy(),
        COLUMNS.numpy(),
        -SCORES.numpy(),
        0.1,
        (0.7, 0.4),
        reg_type="entropy",
        numItermax=5000,
        stopThr=1e-13,
        warn=False,
    )
    np.testing.assert_allclose(
        sinkhorn.plan(SCORES, row_relax=0.7, column_relax=0.4, **EXACT), expected, rtol=1e-6
    )


def test_partial_is_balanced_with_a_column_that_costs_nothing():
    scores = np.concatenate([SCORES.numpy(), np.zeros((30, 1))], 1)
    columns = np.append(0.6 * COLUMNS.numpy(), 0.4)
    expected = ot.sinkhorn(
        ROWS.numpy(), columns, -scores, 0.1, numItermax=5000, stopThr=1e-13, warn=False
    )[:, :9]
    plan = sinkhorn.plan(SCORES, mass=0.6, **EXACT)
    np.testing.assert_allclose(plan, expected, rtol=1e-8)
    np.testing.assert_allclose(plan.sum(), 0.6, rtol=1e-6)
