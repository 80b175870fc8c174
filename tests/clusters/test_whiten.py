"""Whitening: equal variance before, equal length after."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch.nn.functional import normalize

from pymim.clusters import Whitening
from pymim.clusters.rows import Rows

CPU = torch.device("cpu")


def table(n=200, width=12):
    random = torch.Generator().manual_seed(0)
    spread = torch.logspace(0, -2, width)
    return (torch.randn(n, width, generator=random) * spread) @ torch.randn(
        width, width, generator=random
    ) + 3


def whitened(values, dim):
    rows = Rows(values, torch.arange(len(values)), len(values))
    return Whitening(dim)(rows, CPU).values


@pytest.mark.parametrize("dim", [5, 12])
def test_angles_are_those_of_scikit_learn(dim):
    # Components are free to turn: Gram matrices are what can be compared.
    ours, theirs = (
        whitened(table(), dim),
        PCA(dim, whiten=True).fit_transform(table().double().numpy()),
    )
    theirs = normalize(torch.from_numpy(theirs).float())
    torch.testing.assert_close(ours @ ours.T, theirs @ theirs.T, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(ours.norm(dim=1), torch.ones(200))


def test_covariance_is_the_unit_matrix_before_rows_are_scaled():
    values = table()
    rows = Rows(values, torch.arange(200), 200)
    mean = Whitening(5)._mean(rows, CPU)
    made = (values - mean.float()) @ Whitening(5)._weight(rows, mean, CPU).T
    torch.testing.assert_close(made.T @ made / 200, torch.eye(5), rtol=1e-3, atol=1e-3)
    assert (
        whitened(normalize(values), 5) - whitened(values, 5)
    ).abs().max() > 0.1  # the order matters


def test_signs_are_a_convention():
    values = table()
    turned, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(12, 12)))
    both = whitened(values, 5), whitened(values.double() @ torch.from_numpy(turned), 5)
    torch.testing.assert_close(both[0] @ both[0].T, both[1] @ both[1].T, rtol=1e-3, atol=1e-3)
    assert torch.equal(both[0], whitened(values, 5))


def test_rows_and_directions_without_variance_are_zero():
    assert torch.equal(whitened(torch.full((9, 4), 2.0), 3), torch.zeros(9, 3))
    flat = table(50, 4)
    flat[:, 2] = 1.0
    made = whitened(flat, 4)
    assert made.isfinite().all() and (made[:, 3].abs() < 1e-4).all()


def test_fewer_rows_than_components_is_no_error():
    made = whitened(table(4), 12)
    assert made.shape == (4, 12) and made.isfinite().all()
    torch.testing.assert_close(made.norm(dim=1), torch.ones(4))
    assert whitened(table(50, 3), 12).shape == (50, 3)
