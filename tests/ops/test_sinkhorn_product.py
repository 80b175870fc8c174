"""Sinkhorn from features and prototypes, without stored scores: CPU chunks, CUDA tiles."""

import numpy as np
import pytest
import torch

from pymim import _core
from pymim.ops import sinkhorn
from pymim.ops.sinkhorn import transport
from tests import reference
from tests.ops.ranks import two_ranks
from tests.peaks import grown

# (S, B, K, D): one of each; less than a tile; ragged tiles, in parts; rows that stay in shared
# memory; rows too wide for it
SHAPES = [(1, 1, 1, 1), (3, 5, 9, 8), (2, 130, 70, 33), (1, 300, 200, 64), (2, 40, 140, 300)]
DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
OPTIONS = [
    dict(),
    dict(first="rows", last="columns", iterations=10),
    dict(first="rows", iterations=4),
    dict(mass=0.3, column_relax=1.0),
    dict(row_relax=0.5, epsilon=0.1),
]


def product(s, b, k, d, dtype=torch.float32, shared=False):
    """Unit features, and unit prototypes of each problem or of all."""
    generator = torch.Generator().manual_seed(0)
    given = (
        torch.randn(s, b, d, generator=generator),
        torch.randn(1 if shared else s, k, d, generator=generator),
    )
    features, prototypes = (torch.nn.functional.normalize(each, dim=2).to(dtype) for each in given)
    return sinkhorn.Product(features, prototypes[0] if shared else prototypes)


def multiplied(given):
    return given.features.double() @ given.prototypes.double().mT


def to(given, device):
    return sinkhorn.Product(*(each.to(device) for each in given))


def assert_as_reference(given, device, tolerance=2e-5, **options):
    result = sinkhorn.solve(to(given, device), **options)
    plan, row, column = reference.sinkhorn.solve(multiplied(given), **options)
    np.testing.assert_allclose(result.plan.cpu(), plan, rtol=tolerance, atol=1e-7)
    np.testing.assert_allclose(result.potentials.row.cpu(), row, rtol=tolerance, atol=1e-4)
    np.testing.assert_allclose(result.potentials.column.cpu(), column, rtol=tolerance, atol=1e-4)
    labels = sinkhorn.labels(to(given, device), **options).cpu()
    np.testing.assert_allclose(
        plan.gather(2, labels[:, :, None])[:, :, 0], plan.max(2).values, rtol=1e-4
    )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_equals_reference(shape, dtype, device):
    given = product(*shape, dtype)
    assert_as_reference(given, device)
    assert sinkhorn.plan(to(given, device)).dtype == (
        torch.float64 if dtype == torch.float64 else torch.float32
    )


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_options_equal_reference(options, dtype, device):
    assert_as_reference(product(2, 150, 66, 24, dtype), device, **options)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_many_problems_go_through_all_columns_in_one_part(dtype, device):
    given = product(530, 3, 70, 8, dtype)
    scores = multiplied(given)
    found = sinkhorn.potentials(to(given, device), iterations=1, first="rows")
    column = reference.sinkhorn.solve(scores, iterations=1, first="rows", last="columns")[2]
    np.testing.assert_allclose(found.column.cpu(), column, rtol=2e-5, atol=1e-4)
    labels, plan = sinkhorn.labels(to(given, device)), sinkhorn.plan(to(given, device))
    np.testing.assert_allclose(
        plan.gather(2, labels[:, :, None])[:, :, 0].cpu(), plan.cpu().max(2).values, rtol=1e-4
    )


def test_prototypes_of_all_problems(device):
    assert_as_reference(product(3, 20, 30, 16, torch.bfloat16, shared=True), device)
    given = product(1, 20, 30, 16)
    alone = sinkhorn.plan(
        sinkhorn.Product(given.features[0].to(device), given.prototypes[0].to(device))
    )
    assert torch.equal(alone, sinkhorn.plan(to(given, device))[0])


def test_any_marginals(device):
    given = product(2, 30, 7, 16)
    rows = torch.rand(2, 30, generator=torch.Generator().manual_seed(1)) + 0.1
    columns = torch.rand(2, 7, generator=torch.Generator().manual_seed(2)) + 0.1
    columns *= rows.sum(1, keepdim=True) / columns.sum(1, keepdim=True)
    expected = reference.sinkhorn.solve(
        multiplied(given), rows=rows, columns=columns, iterations=50
    )[0]
    plan = sinkhorn.plan(
        to(given, device), rows=rows.to(device), columns=columns.to(device), iterations=50
    )
    np.testing.assert_allclose(plan.cpu(), expected, rtol=1e-4, atol=1e-7)
    nothing = torch.tensor([0.0, *[5.0] * 6])
    plan = sinkhorn.plan(to(given, device), columns=nothing.to(device)).cpu()
    assert torch.equal(plan[:, :, 0], torch.zeros(2, 30))
    np.testing.assert_allclose(plan.sum(2), np.ones((2, 30)), rtol=1e-5)


def test_every_row_of_wide_scores_sums_to_one(device):
    given = product(1, 200, 64, 32)
    given = sinkhorn.Product(given.features * 200, given.prototypes)
    plan = sinkhorn.plan(to(given, device), epsilon=0.06, first="rows").cpu()
    np.testing.assert_allclose(plan.sum(2), np.ones((1, 200)), rtol=1e-3)
    expected = reference.sinkhorn.solve(multiplied(given), epsilon=0.06, first="rows")[0]
    np.testing.assert_allclose(plan, expected, rtol=1e-2, atol=2e-3)


def test_tolerance_stops_in_time(device):
    given = product(2, 60, 20, 8)
    given = sinkhorn.Product(
        given.features * torch.tensor([0.1, 2.0])[:, None, None], given.prototypes
    )
    result = sinkhorn.solve(to(given, device), iterations=500, tolerance=1e-3, epsilon=0.2)
    error, iterations = result.potentials.error.cpu(), result.potentials.iterations.cpu()
    assert (error <= 1e-3).all() and (iterations < 500).all()
    missed = (result.plan.sum(1).cpu() - 3).abs().sum(1) / 60
    np.testing.assert_allclose(missed, error, atol=1e-5)


def test_labels_are_the_first_largest_of_the_plan(device):
    given = to(product(2, 150, 130, 16, torch.bfloat16), device)
    assert torch.equal(sinkhorn.labels(given), sinkhorn.plan(given).argmax(2))
    zeros = sinkhorn.Product(torch.zeros(3, 8, device=device), torch.zeros(150, 8, device=device))
    assert torch.equal(sinkhorn.labels(zeros).cpu(), torch.zeros(3, dtype=torch.int64))


@pytest.mark.parametrize("mass", [None, 0.4])
def test_sums_are_those_of_the_plan(mass, device):
    given = to(product(2, 150, 66, 24), device)
    for scores in (given, (given.features @ given.prototypes.mT)):
        plan, potentials = sinkhorn.solve(scores, mass=mass)
        sums = sinkhorn.plan_sums(scores, potentials)
        np.testing.assert_allclose(sums.rows.cpu(), plan.sum(2).cpu(), rtol=1e-4)
        np.testing.assert_allclose(sums.columns.cpu(), plan.sum(1).cpu(), rtol=1e-4)
        one = (
            scores[0]
            if isinstance(scores, torch.Tensor)
            else sinkhorn.Product(*(each[0] for each in scores))
        )
        alone = sinkhorn.plan_sums(one, sinkhorn.Potentials(*(each[0] for each in potentials)))
        assert torch.equal(alone.rows, sums.rows[0]) or mass is None  # of parts of other lengths
        np.testing.assert_allclose(alone.columns.cpu(), sums.columns[0].cpu(), rtol=1e-5)


def test_two_ranks_give_what_one_gives():
    given = product(1, 60, 30, 8, torch.float64)
    parts = [
        sinkhorn.Product(given.features[0, mine], given.prototypes[0])
        for mine in (slice(20), slice(20, 60))
    ]
    for options in OPTIONS:
        both = two_ranks(
            lambda rank, group, o=options: sinkhorn.plan(parts[rank], group=group, **o)
        )
        np.testing.assert_allclose(
            torch.cat(both), sinkhorn.plan(given, **options)[0], rtol=1e-9, atol=1e-12
        )


def test_chunks_on_the_cpu_equal_the_whole():
    given = product(1, 130, 22000, 16, torch.float64)
    whole = sinkhorn.potentials(multiplied(given))
    np.testing.assert_allclose(sinkhorn.potentials(given).column, whole.column, rtol=1e-9)


@pytest.mark.parametrize(
    ("features", "prototypes", "message"),
    [
        (
            torch.zeros(4),
            torch.zeros(2, 4),
            "scores: expected .B K. or .S B K., got 1 axes, also of features",
        ),
        (
            torch.zeros(4, 3),
            torch.zeros(2, 4),
            "prototypes: expected .* width 3 on cpu .* got 2 axes, width 4 on",
        ),
        (
            torch.zeros(4, 3),
            torch.zeros(2, 3, device="meta"),
            "prototypes: expected .* 2 axes, width 3 on meta",
        ),
        (
            torch.zeros(4, 3),
            torch.zeros(1, 2, 3),
            "prototypes: expected .K D., or .S K D. .* got 3 axes",
        ),
        (
            torch.zeros(3, 4, 3),
            torch.zeros(2, 5, 3),
            "prototypes: expected those of 3 problems, got 2; pass",
        ),
        (torch.zeros(0, 3), torch.zeros(2, 3), "scores: expected at least one row and column"),
        (torch.zeros(4, 3), torch.zeros(0, 3), "scores: expected at least one row and column"),
        (torch.full((4, 3), torch.nan), torch.zeros(2, 3), "scores: expected finite numbers"),
        (torch.ones(4, 3), torch.full((2, 3), torch.inf), "scores: expected finite numbers"),
    ],
)
def test_bad_input_is_refused(features, prototypes, message):
    with pytest.raises(ValueError, match=f"sinkhorn: {message}"):
        sinkhorn.plan(sinkhorn.Product(features, prototypes))


def test_any_floating_tensors_are_taken(device):
    features, prototypes = to(product(1, 20, 30, 16, torch.bfloat16), device)
    plain = sinkhorn.plan(sinkhorn.Product(features.float(), prototypes.float()))
    across = features.mT.contiguous().mT.requires_grad_(), prototypes.float().requires_grad_()
    given = sinkhorn.Product(*across)
    assert torch.equal(sinkhorn.plan(given), plain)
    with pytest.raises(
        TypeError, match="sinkhorn: scores: expected features of dtype float32, got torch"
    ):
        sinkhorn.plan(sinkhorn.Product(features.long(), prototypes.long()))


@pytest.mark.skipif(_core.emulated, reason="the emulated kernels take a product anywhere")
def test_the_core_alone_refuses_a_product_on_the_cpu():
    with pytest.raises(
        ValueError,
        match="sinkhorn_labels: prototypes: expected none on the CPU, got some; multiply",
    ):
        sinkhorn.write_labels(torch.zeros(1, 4, 3), torch.zeros(1, 2), 0.1, torch.zeros(1, 2, 3))


@pytest.mark.skipif(
    not _core.emulated and not torch.cuda.is_available(), reason="products are made on CUDA"
)
def test_registered_ops_are_sound():
    where = "cpu" if _core.emulated else "cuda"
    features, prototypes = to(product(2, 5, 4, 3), where)
    row, column = torch.zeros(2, 5, device=where), torch.zeros(2, 4, device=where)
    options = (None, None, 0.05, 3, 0.0, False, True, 1.0, 1.0, 0.0, "solution", False)
    torch.library.opcheck(transport._transport, (features, *options, prototypes))
    torch.library.opcheck(sinkhorn.column_sums.op, (features, row, 0.5, True, prototypes))
    torch.library.opcheck(sinkhorn.sweep.op, (features, row, column, row, 0.5, 1.0, prototypes))
    torch.library.opcheck(sinkhorn.write_plan.op, (features, row, column, 0.5, prototypes))
    torch.library.opcheck(sinkhorn.write_labels.op, (features, column, 0.5, prototypes))
    sums = sinkhorn.column_sums(features, row, 0.5, False, prototypes)
    torch.testing.assert_close(sums, torch.logsumexp(features @ prototypes.mT / 0.5, 1))


@pytest.mark.skipif(_core.emulated, reason="kernels hold tiles, and would take minutes here")
def test_memory_is_that_of_one_chunk():
    """Of a table of 512 MiB."""
    before = """
import torch
from pymim.ops import sinkhorn
from pymim.ops.sinkhorn import transport
features, prototypes = torch.randn(16384, 16), torch.randn(8192, 16)
sinkhorn.potentials(sinkhorn.Product(features[:512], prototypes))
"""
    assert grown(before, "sinkhorn.potentials(sinkhorn.Product(features, prototypes))") < 32
