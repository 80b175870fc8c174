"""Scores far wider than epsilon: rows that sum to 1, or a refusal; never rows of 4 or 1e38."""

import re

import numpy as np
import pytest
import torch

from pymim.ops import sinkhorn

REFUSED = (
    r"sinkhorn: scores: expected scores / epsilon up to 16384 .*, got .*; "
    "normalise them, raise epsilon, or pass float64"
)


def random_scores(*shape, wide, dtype=torch.float32):
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return (drawn * wide).to(dtype)


def by_hand(scores, epsilon=0.05, iterations=3):
    """Columns, then rows, by logarithms in 64 bits of mantissa."""
    exponents = scores.double().numpy().astype(np.longdouble) / epsilon
    row, column = np.zeros((len(scores), 1), np.longdouble), 0
    for _ in range(iterations):
        column = np.log(len(scores) / scores.shape[1]) - np.logaddexp.reduce(
            exponents + row, 0, keepdims=True
        )
        row = -np.logaddexp.reduce(exponents + column, 1, keepdims=True)
    return np.exp(exponents + row + column).astype(np.float64)


def halves(width, wide):
    """Features and prototypes whose products are as wide."""
    return sinkhorn.Product(random_scores(24, width, wide=wide), random_scores(8, width, wide=1))


def one_problem_of_two(wide):
    return random_scores(2, 24, 8, wide=1) * torch.tensor([wide, 1])[:, None, None]


def raised(where, wide):
    return random_scores(24, 8, wide=1) + wide * where


def narrowed(scores):
    """Potentials as float64 finds them, in float32."""
    return sinkhorn.Potentials(*(part.float() for part in sinkhorn.potentials(scores.double())))


ENTRIES = {
    "plan": lambda wide: sinkhorn.plan(random_scores(24, 8, wide=wide)),
    "rows first": lambda wide: sinkhorn.plan(random_scores(24, 8, wide=wide), first="rows"),
    "log domain": lambda wide: sinkhorn.plan(random_scores(24, 8, wide=wide), domain="log"),
    "solve": lambda wide: sinkhorn.solve(random_scores(24, 8, wide=wide)).plan,
    "by position": lambda wide: sinkhorn.plan(random_scores(5, 24, 8, wide=wide)),
    "converged": lambda wide: sinkhorn.plan(
        random_scores(24, 8, wide=wide), iterations=200, tolerance=1e-3
    ),
    "bfloat16": lambda wide: sinkhorn.plan(random_scores(24, 8, wide=wide, dtype=torch.bfloat16)),
    "one problem of two": lambda wide: sinkhorn.plan(one_problem_of_two(wide)),
    "one row": lambda wide: sinkhorn.plan(raised((torch.arange(24) == 7)[:, None], wide)),
    "one column": lambda wide: sinkhorn.plan(raised(torch.arange(8) == 3, wide)),
    "all down": lambda wide: sinkhorn.plan(raised(-1, wide)),
    "relaxed": lambda wide: sinkhorn.plan(random_scores(24, 8, wide=wide), column_relax=0.5),
    "product": lambda wide: sinkhorn.plan(halves(4, wide)),
}


@pytest.mark.parametrize("wide", [1, 30, 100, 300, 1e3, 1e4, 1e6, 1e7, 1e8, 1e20, 1e37])
@pytest.mark.parametrize("entry", ENTRIES)
def test_rows_sum_to_one_or_are_refused(entry, wide):
    try:
        plan = ENTRIES[entry](wide)
    except ValueError as error:
        assert wide >= 100 and re.fullmatch(REFUSED, str(error))
    else:
        assert wide < 1e4
        np.testing.assert_allclose(plan.sum(-1), 1, atol=1e-3)


@pytest.mark.parametrize(
    "call",
    [
        lambda scores: sinkhorn.labels(scores),
        lambda scores: sinkhorn.potentials(scores),
        lambda scores: sinkhorn.plan(scores, mass=0.5),
        lambda scores: sinkhorn.plan(scores, rows=torch.arange(24.0)),
        lambda scores: sinkhorn.doubly_stochastic(scores @ scores.T),
        lambda scores: sinkhorn.plan_sums(scores, narrowed(scores)),
        lambda scores: sinkhorn.write_labels(scores[None], scores[None, 0], 0.05),
        lambda scores: sinkhorn.write_plan(scores[None], scores[None, :, 0], scores[None, 0], 0.05),
    ],
)
def test_every_function_refuses(call):
    with pytest.raises(ValueError, match=REFUSED):
        call(random_scores(24, 8, wide=1e6))


@pytest.mark.parametrize("wide", [1e2, 1e6, 1e8])
def test_float64_solves_what_float32_cannot(wide):
    scores = random_scores(24, 8, wide=wide).double()
    plan = sinkhorn.plan(scores)
    np.testing.assert_allclose(plan, by_hand(scores), atol=1e-5)
    np.testing.assert_allclose(plan.sum(-1), 1, atol=1e-6)
    assert torch.equal(sinkhorn.labels(scores), plan.argmax(-1))


def test_rows_and_columns_of_zero_mass_may_be_wide():
    rows, columns = torch.ones(24), torch.full((8,), 24 / 7)
    rows[3], columns[5] = 0, 0
    plan = sinkhorn.plan(random_scores(24, 8, wide=1), rows=rows, columns=columns * 23 / 24)
    np.testing.assert_allclose(plan.sum(-1), rows, atol=1e-5)
    assert not plan[:, 5].any()


def test_the_row_that_is_not_finite_is_named():
    scores = random_scores(24, 8, wide=1)
    scores[7, 2] = torch.nan
    with pytest.raises(
        ValueError, match="scores: expected finite numbers, got NaN or infinity in row 7; look"
    ):
        sinkhorn.plan(scores)
    with pytest.raises(
        ValueError, match="scores: expected finite numbers, got NaN or infinity in row 7; look"
    ):
        sinkhorn.plan(sinkhorn.Product(scores, torch.ones(3, 8)))


def test_on_a_gpu_the_plan_is_nan(device):
    if device == "cpu":
        pytest.skip("a CPU refuses")
    for first in ("rows", "columns"):
        plan = sinkhorn.plan(one_problem_of_two(1e6).to(device), first=first)
        assert plan[0].isnan().any(-1).all() and torch.allclose(
            plan[1].sum(-1).cpu(), torch.ones(24), atol=1e-3
        )
