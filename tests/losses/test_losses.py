"""Losses are one float32 number per patch."""

import pytest
import torch

from pymim import losses


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (losses.MSE(), lambda d: d.square().mean(-1)),
        (losses.L1(), lambda d: d.abs().mean(-1)),
        (
            losses.SmoothL1(2.0),
            lambda d: torch.where(d.abs() < 2, d.square() / 4, d.abs() - 1).mean(-1),
        ),
    ],
)
def test_distances_equal_their_formulas(loss, expected):
    prediction, target = torch.randn(2, 3, 4, 5).mul(3)
    torch.testing.assert_close(loss(prediction, target), expected(prediction - target))


def test_the_cosine_distance_is_zero_for_one_direction_and_two_for_opposite_ones():
    target = torch.randn(2, 3, 8)
    torch.testing.assert_close(
        losses.CosineDistance()(3 * target, target), torch.zeros(2, 3), rtol=0, atol=1e-6
    )
    torch.testing.assert_close(losses.CosineDistance()(-target, target), torch.full((2, 3), 2.0))


def test_cross_entropy_of_ids_and_of_shares():
    scores, ids = torch.randn(2, 3, 5), torch.randint(5, (2, 3))
    expected = torch.nn.functional.cross_entropy(
        scores.flatten(0, 1) / 0.1, ids.flatten(), reduction="none"
    )
    loss = losses.CrossEntropy(0.1)
    torch.testing.assert_close(loss(scores, ids), expected.view(2, 3))
    torch.testing.assert_close(
        loss(scores, torch.nn.functional.one_hot(ids, 5)), expected.view(2, 3)
    )


def test_an_id_below_zero_is_no_class():
    scores = torch.randn(2, 2, 5, requires_grad=True)
    out = losses.CrossEntropy()(scores, torch.tensor([[1, -1], [-100, 4]]))
    assert out[0, 1] == out[1, 0] == 0 and (out[[0, 1], [0, 1]] > 0).all()
    out.sum().backward()
    assert (scores.grad[0, 1] == 0).all() and (scores.grad[1, 1] != 0).all()


# The others are not of patches, or are made of others: each has tests of its own.
OF_PATCHES = sorted({*losses.__all__} - {"MeanEntropy", "Spectrum", "Sum"})


@pytest.mark.parametrize("name", OF_PATCHES)
def test_float32_also_under_autocast(name):
    loss = losses.Sum([losses.MSE()]) if name == "Sum" else getattr(losses, name)()
    if hasattr(loss, "build"):
        loss.build(4, None)
    beside = {"grid": (1, 3), "patch": (2, 2)} if name == "Spectrum" else {}
    with torch.autocast("cpu", torch.bfloat16):
        out = loss(torch.rand(2, 3, 4).bfloat16(), torch.rand(2, 3, 4).bfloat16(), **beside)
    assert out.dtype == torch.float32
    assert out.shape == {"MeanEntropy": (1, 3), "Spectrum": (2, 8)}.get(name, (2, 3))


def test_half_precision_does_not_overflow():
    prediction = torch.full((1, 1, 4), 300.0, dtype=torch.half)
    assert losses.MSE()(prediction, torch.zeros(1, 1, 4)).item() == 90_000
