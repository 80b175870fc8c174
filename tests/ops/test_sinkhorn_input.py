"""Bad input to Sinkhorn: one clear error that names the argument."""

import pytest
import torch

from pymim.ops import sinkhorn
from pymim.ops.sinkhorn.marginals import log_marginals

SCORES = torch.zeros(4, 3)
NAN = torch.tensor([[0.0, float("nan")]])
INFINITE = torch.tensor([[0.0, float("inf")]])
FORBIDDEN = torch.tensor([[0.0, -float("inf")], [0.0, 0.0]])


@pytest.mark.parametrize(
    ("scores", "options", "message"),
    [
        (torch.zeros(4), {}, "scores: expected .B K. or .S B K., got 1 axes"),
        (torch.zeros(0, 3), {}, "scores: expected at least one row"),
        (torch.zeros(3, 0), {}, "scores: expected at least one row"),
        (torch.zeros(3, 4).T, {}, "scores: expected a contiguous array"),
        (NAN, {}, "scores: expected finite numbers"),
        (NAN, dict(first="rows"), "scores: expected finite numbers"),
        (INFINITE, {}, "scores: expected finite numbers"),
        (INFINITE, dict(first="rows"), "scores: expected finite numbers"),
        (FORBIDDEN, {}, "scores: expected finite numbers"),
        (FORBIDDEN, dict(first="rows"), "scores: expected finite numbers"),
        (INFINITE.half(), {}, "scores: expected finite numbers"),
        (SCORES, dict(epsilon=0.0), "epsilon: expected a positive number, got 0"),
        (SCORES, dict(epsilon=-1.0), "epsilon: expected a positive number, got -1"),
        (SCORES, dict(epsilon=float("nan")), "epsilon: expected a positive number"),
        (SCORES, dict(iterations=0), "iterations: expected at least 1, got 0"),
        (SCORES, dict(tolerance=-1.0), "tolerance: expected 0 or more, got -1"),
        (SCORES, dict(first="row"), 'first: expected "rows" or "columns", got \'row\''),
        (SCORES, dict(last="both"), 'last: expected "rows" or "columns", got \'both\''),
        (SCORES, dict(domain="linear"), 'domain: expected "auto" or "log", got \'linear\''),
        (SCORES, dict(mass=0.0), "mass: expected above 0 and at most 1, got 0.0"),
        (SCORES, dict(mass=1.5), "mass: expected above 0 and at most 1, got 1.5"),
        (SCORES, dict(row_relax=0.0), "row_relax: expected a positive number, got 0.0"),
        (SCORES, dict(column_relax=-2.0), "column_relax: expected a positive number, got -2.0"),
        (SCORES, dict(rows=torch.ones(3)), r"rows: expected sums \[4\] or \[1 4\], got \[3\]"),
        (
            SCORES,
            dict(columns=torch.ones(4)),
            r"columns: expected sums \[3\] or \[1 3\], got \[4\]",
        ),
        (SCORES, dict(columns=torch.tensor([1.0, -1, 1])), "columns: expected sums of 0 or more"),
        (SCORES, dict(rows=torch.full((4,), torch.nan)), "rows: expected sums of 0 or more"),
        (
            SCORES,
            dict(rows=torch.ones(4), columns=torch.ones(3)),
            "columns: expected the total of the rows, 4, got 3",
        ),
        (SCORES, dict(rows=torch.zeros(4)), "columns: expected the total of the rows, 0, got 0"),
    ],
)
def test_bad_input_is_refused(scores, options, message):
    with pytest.raises(ValueError, match=f"sinkhorn: {message}"):
        sinkhorn.plan(scores, **options)


def test_bad_dtype_is_refused():
    with pytest.raises(TypeError, match="sinkhorn: scores: expected dtype float32, got int64"):
        sinkhorn.plan(torch.zeros(4, 3, dtype=torch.int64))


def test_sums_of_another_device_or_shape_are_refused():
    elsewhere = torch.ones(3, device="meta")
    for given in (dict(rows=None, columns=elsewhere), dict(rows=elsewhere, columns=None)):
        name = "columns" if given["rows"] is None else "rows"
        with pytest.raises(
            ValueError, match=f"sinkhorn: {name}: expected sums on cpu, got meta; move them there"
        ):
            log_marginals(SCORES, (1, 3, 3), mass=0.0, **given)
    with pytest.raises(
        ValueError, match=r"sinkhorn: columns: expected sums \[3\] or \[1 3\], got \[2, 2\]"
    ):
        sinkhorn.plan(SCORES, columns=torch.ones(2, 2))


def test_zero_problems_give_empty_results():
    assert sinkhorn.plan(torch.zeros(0, 4, 3)).shape == (0, 4, 3)
