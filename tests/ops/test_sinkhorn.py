"""Sinkhorn against the plain reference, the papers' released code, and its own promises."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pymim.ops import sinkhorn
from pymim.ops.sinkhorn import transport
from tests import reference

SHAPES = [(1, 1, 1), (1, 5, 3), (3, 33, 17), (2, 4, 65), (1, 200, 130), (70, 9, 8)]
TOY = torch.tensor([[0.0, 1], [2, 0], [1, 1], [0, 3]])


def random_scores(*shape, seed=0, spread=0.3):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * spread


def assert_as_reference(scores, device, tolerance=2e-5, **options):
    result = sinkhorn.solve(scores.to(device), **options)
    plan, row, column = reference.sinkhorn.solve(scores, **options)
    np.testing.assert_allclose(result.plan.cpu(), plan, rtol=tolerance, atol=1e-7)
    np.testing.assert_allclose(result.potentials.row.cpu(), row, rtol=tolerance, atol=1e-4)
    np.testing.assert_allclose(
        result.potentials.column.cpu(), column.clamp_min(-1e30), rtol=tolerance, atol=1e-4
    )
    labels = sinkhorn.labels(scores.to(device), **options).cpu()
    np.testing.assert_allclose(
        plan.gather(2, labels[:, :, None])[:, :, 0], plan.max(2).values, rtol=1e-4
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_equals_reference(shape, device):
    assert_as_reference(random_scores(*shape), device)


def test_more_problems_than_one_axis_of_a_cuda_grid(device):
    scores = random_scores(65536, 1, 2).to(device)
    assert torch.equal(
        sinkhorn.write_labels(scores, torch.zeros(65536, 2, device=device), 1.0), scores.argmax(2)
    )


@pytest.mark.parametrize("first", ["rows", "columns"])
@pytest.mark.parametrize("last", ["rows", "columns"])
def test_either_side_first_and_last(first, last, device):
    scores = random_scores(2, 40, 21)
    for iterations in (1, 2, 5):
        assert_as_reference(scores, device, first=first, last=last, iterations=iterations)
    plan = sinkhorn.plan(scores.to(device), first=first, last=last)
    axis, wanted = (2, 1.0) if last == "rows" else (1, 40 / 21)
    np.testing.assert_allclose(plan.sum(axis).cpu(), wanted, rtol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        dict(column_relax=1.0, epsilon=0.1),
        dict(row_relax=0.5, epsilon=0.1, last="columns"),
        dict(row_relax=2.0, column_relax=0.3, iterations=20),
        dict(mass=0.3),
        dict(mass=0.1, column_relax=1.0, epsilon=0.1, iterations=30),
        dict(mass=1.0, first="rows"),
    ],
    ids=str,
)
def test_relaxed_and_partial(options, device):
    scores = random_scores(2, 50, 12).log_softmax(2)
    assert_as_reference(scores, device, **options)
    mass = options.get("mass")
    if mass and "column_relax" not in options:
        plan = sinkhorn.plan(scores, **{**options, "iterations": 500, "last": "columns"})
        np.testing.assert_allclose(plan.sum((1, 2)), mass * 50, rtol=1e-4)


def test_any_marginals(device):
    scores = random_scores(2, 30, 7)
    rows = torch.rand(2, 30, generator=torch.Generator().manual_seed(1)) + 0.1
    columns = torch.rand(2, 7, generator=torch.Generator().manual_seed(2)) + 0.1
    columns *= rows.sum(1, keepdim=True) / columns.sum(1, keepdim=True)
    options = dict(rows=rows.to(device), columns=columns.to(device), iterations=300)
    plan = sinkhorn.plan(scores.to(device), **options).cpu()
    np.testing.assert_allclose(
        plan,
        reference.sinkhorn.solve(scores, **{**options, "rows": rows, "columns": columns})[0],
        rtol=1e-4,
        atol=1e-7,
    )
    np.testing.assert_allclose(plan.sum(2), rows, rtol=1e-5)
    np.testing.assert_allclose(plan.sum(1), columns, rtol=1e-4)
    one_side = sinkhorn.plan(scores, columns=columns[0], iterations=300)
    np.testing.assert_allclose(
        one_side.sum(2), columns[0].sum() / 30 * torch.ones(2, 30), rtol=1e-5
    )


def test_wanted_sums_may_be_zero():
    columns = torch.tensor([2.0, 0, 3])
    for first in ("rows", "columns"):
        plan = sinkhorn.plan(random_scores(5, 3), columns=columns, iterations=500, first=first)
        assert torch.equal(plan[:, 1], torch.zeros(5))
        np.testing.assert_allclose(plan.sum(0), columns, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_dtypes(dtype, device):
    scores = random_scores(2, 70, 33).to(dtype)
    result = sinkhorn.solve(scores.to(device), iterations=5)
    expected = reference.sinkhorn.solve(scores, iterations=5)[0]
    double = dtype == torch.float64
    assert result.plan.dtype == (torch.float64 if double else torch.float32)
    np.testing.assert_allclose(
        result.plan.cpu(), expected, rtol=1e-12 if double else 2e-5, atol=1e-7
    )


def test_order_of_the_half_steps_equals_the_released_numbers():
    # CAPI's order, ending on rows, and where it converges to; rows first is another plan.
    plan = sinkhorn.plan(TOY, epsilon=0.5)
    released = [
        [0.334562, 0.665438],
        [0.995094, 0.004906],
        [0.787911, 0.212089],
        [0.009125, 0.990875],
    ]
    np.testing.assert_allclose(plan, released, atol=1e-6)
    np.testing.assert_allclose(plan.sum(0), [2.126692, 1.873308], atol=1e-6)
    limit = [[0.268941, 0.731059], [0.993307, 0.006693], [0.731059, 0.268941], [0.006693, 0.993307]]
    np.testing.assert_allclose(sinkhorn.plan(TOY, epsilon=0.5, iterations=100), limit, atol=1e-6)
    rows_first = sinkhorn.plan(TOY, epsilon=0.5, first="rows", last="rows", iterations=3)
    np.testing.assert_allclose(rows_first[0, 0], 0.229435, atol=1e-6)


def test_equals_the_released_loop():
    scores = random_scores(128, 40).double()
    np.testing.assert_allclose(
        sinkhorn.plan(scores, iterations=10),
        reference.sinkhorn.scaling(scores, 0.05, 10),
        rtol=1e-11,
    )


def test_positions_are_independent_problems(device):
    scores = random_scores(10, 256, 40).to(device)
    whole = sinkhorn.plan(scores)
    assert torch.equal(sinkhorn.plan(scores[3:4].clone()), whole[3:4])
    assert torch.equal(sinkhorn.plan(scores[3].clone()), whole[3])
    order = torch.randperm(256)
    np.testing.assert_allclose(
        sinkhorn.plan(scores[:, order]).cpu(), whole[:, order].cpu(), rtol=1e-5, atol=1e-8
    )
    biased = scores + torch.randn(10, 1, 40).to(
        device
    )  # by position and cluster: absorbed by the column step
    np.testing.assert_allclose(sinkhorn.plan(biased).cpu(), whole.cpu(), rtol=2e-4, atol=1e-7)


@pytest.mark.parametrize("first", ["rows", "columns"])
def test_every_row_of_wide_scores_sums_to_one(first, device):
    scores = random_scores(512, 64, spread=20)
    plan = sinkhorn.plan(scores.to(device), epsilon=0.06, first=first)
    np.testing.assert_allclose(plan.sum(1).cpu(), 1, rtol=1e-4)
    expected = reference.sinkhorn.solve(scores[None], epsilon=0.06, first=first)[0][0]
    np.testing.assert_allclose(plan.cpu(), expected, rtol=1e-2, atol=2e-3)
    double = sinkhorn.plan(scores.double().to(device), epsilon=0.06, first=first)
    np.testing.assert_allclose(double.cpu(), expected, rtol=1e-8, atol=1e-12)


def test_half_precision_scores_do_not_overflow():
    scores = torch.nn.functional.normalize(random_scores(400, 64), dim=1) @ torch.eye(64)
    half = sinkhorn.labels(scores.half(), epsilon=0.03, iterations=10)
    assert (
        half == sinkhorn.labels(scores.half().float(), epsilon=0.03, iterations=10)
    ).float().mean() >= 0.999


def test_uniform_scores_give_a_uniform_plan():
    plan = sinkhorn.plan(torch.full((64, 3000), 0.3))
    np.testing.assert_allclose(-plan.log().mean(), np.log(3000), rtol=1e-6)


@pytest.mark.slow
def test_tolerance_stops_each_problem_by_itself(device):
    easy, hard = random_scores(1, 60, 20, spread=0.02), random_scores(1, 60, 20, spread=0.6)
    scores = torch.cat([easy, hard]).to(device)
    result = sinkhorn.solve(scores, iterations=1000, tolerance=1e-4)
    error, iterations = result.potentials.error.cpu(), result.potentials.iterations.cpu()
    assert (error <= 1e-4).all()
    assert iterations[0] < iterations[1] < 1000
    missed = (result.plan.sum(1).cpu() - 3).abs().sum(1) / 60
    np.testing.assert_allclose(missed, error, atol=1e-5)
    fixed = sinkhorn.plan(scores[1], iterations=int(iterations[1]))
    np.testing.assert_allclose(fixed.cpu(), result.plan[1].cpu(), rtol=1e-4, atol=1e-7)


def test_labels_are_the_largest_of_the_plan(device):
    scores = random_scores(4, 100, 50).to(device)
    labels = sinkhorn.labels(scores, iterations=10)
    assert labels.dtype == torch.int64
    assert torch.equal(labels, sinkhorn.plan(scores, iterations=10).argmax(2))
    assert torch.equal(
        sinkhorn.labels(torch.zeros(3, 40, device=device)).cpu(), torch.zeros(3, dtype=torch.int64)
    )


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 70),
    st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
)
def test_labels_are_the_largest_of_the_plan_for_nearly_equal_scores(b, k, dtype):
    scores = (random_scores(2, b, k) * 2).round().to(dtype) / 20
    assert torch.equal(sinkhorn.labels(scores), sinkhorn.plan(scores).argmax(2))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.floats(0.02, 5), st.integers(0, 2**31))
@pytest.mark.slow
def test_converges_to_both_marginals(b, k, epsilon, seed):
    scores = random_scores(b, k, seed=seed, spread=0.1).double()
    result = sinkhorn.solve(scores, epsilon=epsilon, iterations=2000, tolerance=1e-9)
    np.testing.assert_allclose(result.plan.sum(1), np.ones(b), rtol=1e-9)
    missed = (result.plan.sum(0) - b / k).abs().sum() / b
    np.testing.assert_allclose(missed, result.potentials.error, atol=1e-9)
    permutation = torch.randperm(k)
    other = sinkhorn.plan(scores[:, permutation], epsilon=epsilon, iterations=2000, tolerance=1e-9)
    np.testing.assert_allclose(other, result.plan[:, permutation], rtol=1e-6, atol=1e-9)
    assume(result.potentials.error <= 1e-9)  # plans that are nearly permutations take longer
    np.testing.assert_allclose(result.plan.sum(0), np.full(k, b / k), rtol=1e-6)


def test_same_bits_for_any_number_of_threads():
    scores = random_scores(300, 700)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = sinkhorn.solve(scores)
    finally:
        torch.set_num_threads(threads)
    together = sinkhorn.solve(scores)
    assert torch.equal(alone.plan, together.plan)
    assert torch.equal(alone.potentials.column, together.potentials.column)


def test_numpy_in_numpy_out():
    result = sinkhorn.solve(TOY.numpy(), epsilon=0.5)
    assert isinstance(result.plan, np.ndarray)
    assert isinstance(result.potentials.row, np.ndarray)


def test_registered_op_is_sound():
    arguments = (
        random_scores(2, 5, 4),
        None,
        None,
        0.05,
        3,
        0.0,
        False,
        True,
        1.0,
        1.0,
        0.0,
        "plan",
    )
    torch.library.opcheck(transport._transport, arguments)
    compiled = torch.compile(lambda x: sinkhorn.plan(x, iterations=2), fullgraph=True)
    scores = random_scores(6, 5)
    assert torch.equal(compiled(scores), sinkhorn.plan(scores, iterations=2))
