"""Each mask policy against its plain reference: the same bits, on every device."""

import pytest
import torch

from pymim.ops import mask
from tests.ops.masks import DRAW, REFERENCE, assert_equal, indices, scores, to_numpy

SHAPES = [
    (1, 1, 0),
    (1, 1, 1),
    (3, 7, 2),
    (5, 196, 49),
    (2, 33, 33),
    (2, 1568, 160),
    (0, 4, 2),
    (1, 0, 0),
]
KINDS = ["normal", "constant", "ties", "bfloat16", "float16", "huge", "tiny"]
UNITS = [
    ((14, 14), 48, (2, 2)),
    ((8, 14, 14), 160, (8, 1, 1)),  # tubes
    ((4, 6, 10), 96, (2, 3, 2)),  # cubes
    ((6, 4), 8, (1, 4)),
    ((3, 5), 15, (3, 5)),
]


@pytest.mark.parametrize(("b", "n", "v"), SHAPES)
def test_uniform(b, n, v, device):
    assert_equal(
        mask.uniform(indices(b).to(device), n, v, **DRAW),
        REFERENCE.uniform(indices(b), n, v, **DRAW),
    )


@pytest.mark.parametrize(("grid", "v", "unit"), UNITS)
def test_units(grid, v, unit, device):
    result = mask.uniform(indices(3).to(device), grid, v, unit=unit, **DRAW)
    assert_equal(result, REFERENCE.units(indices(3), grid, v, unit, **DRAW))


@pytest.mark.parametrize(("grid", "v", "unit"), UNITS)
def test_expanded_mask_is_the_mask_of_units(grid, v, unit, device):
    cells, size = (
        [g // u for g, u in zip(grid, unit, strict=True)],
        torch.tensor(unit).prod().item(),
    )
    coarse = mask.uniform(indices(3).to(device), cells, v // size, **DRAW)
    assert_equal(
        mask.expand(coarse.boolean, grid, v, unit=unit),
        REFERENCE.units(indices(3), grid, v, unit, **DRAW),
    )


@pytest.mark.parametrize(
    ("size", "grid", "v"),
    [((7, 20, 18), (14, 14), 49), ((1, 3, 5), (3, 5), 4), ((2, 9, 9), (1, 9), 9)],
)
def test_filtered(size, grid, v, device):
    bank = scores(1, size[0] * size[1] * size[2]).view(size)
    result = mask.filtered(indices(9).to(device), bank.to(device), grid, v, **DRAW)
    assert_equal(result, REFERENCE.filtered(indices(9), bank.numpy(), grid, v, **DRAW))


@pytest.mark.parametrize("side", ["visible", "hidden"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("b", "n", "v"), [(3, 7, 2), (2, 196, 59), (2, 5, 0), (2, 5, 5), (0, 4, 2)]
)
def test_weighted(b, n, v, kind, side, device):
    weights = scores(b, n, kind).relu()
    result = mask.weighted(indices(b).to(device), weights.to(device), v, side=side, **DRAW)
    assert_equal(result, REFERENCE.weighted(indices(b), to_numpy(weights), v, side, **DRAW))


@pytest.mark.parametrize("hide", ["highest", "lowest"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("b", "n", "v", "hard"),
    [(3, 7, 2, 3), (2, 196, 49, 73), (2, 5, 0, 5), (2, 5, 5, 0), (2, 9, 3, 6)],
)
def test_ranked(b, n, v, hard, kind, hide, device):
    values = scores(b, n, kind)
    result = mask.ranked(indices(b).to(device), values.to(device), v, hard, hide=hide, **DRAW)
    assert_equal(result, REFERENCE.ranked(indices(b), to_numpy(values), v, hard, hide, **DRAW))


@pytest.mark.parametrize("hard", [1, 73, 147])
def test_ranked_rows_of_different_scales_do_not_affect_each_other(hard, device):
    """A row's bound decides where the search for the next one begins, and nothing else."""
    scale = 10.0 ** torch.tensor([0, 0, 0, 9, -9, 0, 30, -30, 0, 0, 0, 0]).double()[:, None]
    values = (scores(12, 196).double() * scale).float()
    values[5], values[9, ::2], values[10] = 0, 1e30, torch.linspace(-1, 1, 196).sign()
    result = mask.ranked(indices(12).to(device), values.to(device), 49, hard, **DRAW)
    assert_equal(
        result, REFERENCE.ranked(indices(12), to_numpy(values), 49, hard, "highest", **DRAW)
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("b", "n", "v"), [(3, 7, 2), (2, 128, 64), (2, 5, 0), (2, 5, 5)])
def test_priority(b, n, v, kind, device):
    values = scores(b, n, kind)
    result = mask.priority(indices(b).to(device), values.to(device), v, **DRAW)
    assert_equal(result, REFERENCE.priority(indices(b), to_numpy(values), v, **DRAW))


@pytest.mark.parametrize(
    ("b", "n", "v", "views", "covered"),
    [
        (3, 49, 20, 2, 49),
        (3, 49, 20, 2, 29),
        (2, 196, 147, 3, 120),
        (2, 7, 6, 9, 5),
        (2, 5, 5, 2, 0),
        (2, 5, 0, 2, 5),
        (1, 10, 1, 1, 9),
    ],
)
def test_disjoint(b, n, v, views, covered, device):
    results = mask.disjoint(indices(b).to(device), n, v, views=views, covered=covered, **DRAW)
    for result, expected in zip(
        results, REFERENCE.disjoint(indices(b), n, v, views, covered, **DRAW), strict=True
    ):
        assert_equal(result, expected)


@pytest.mark.parametrize("alpha", [0.01, 0.5, 1.0, 30.0])
@pytest.mark.parametrize(
    ("sizes", "v"), [([196, 196, 196], 98), ([4, 9, 1, 0], 12), ([7], 3), ([5, 5], 0)]
)
def test_budget(sizes, v, alpha, device):
    result = mask.budget(indices(4).to(device), sizes, v, alpha=alpha, **DRAW)
    assert_equal(result, REFERENCE.budget(indices(4), sizes, v, [alpha] * len(sizes), **DRAW))


@pytest.mark.parametrize(
    ("b", "m", "k"), [(3, 166, 8), (2, 5, 5), (2, 5, 0), (2, 130, 77), (0, 3, 1)]
)
def test_subset(b, m, k, device):
    ids = torch.arange(b * m).view(b, m) * 2
    result = mask.subset(indices(b).to(device), ids.to(device), k, **DRAW)
    assert result.tolist() == REFERENCE.subset(indices(b), ids.numpy(), k, **DRAW).tolist()
