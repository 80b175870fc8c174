"""Histograms of oriented gradients, against a plain loop over pixels and bins found by hand."""

import math

import pytest
import torch

from pymim.contracts import Made, Mask
from pymim.encoders import ViT
from pymim.errors import ConfigError
from pymim.targets import Gradients
from tests.asking import ask

SOBEL = {(-1, -1): 1, (0, -1): 2, (1, -1): 1, (-1, 1): -1, (0, 1): -2, (1, 1): -1}


def make(cells=2, image=(32, 32), patch=8, channels=3, **options):
    return Gradients(ViT(24, 1, 2, image=image, patch=patch, channels=channels), cells, **options)


def mirrored(at, size):
    return abs(at) if at < size else 2 * size - 2 - at


def by_pixel(channel, cell, bins):
    """Sum votes pixel by pixel, as the released code does: [rows, columns, bins]."""
    height, width = channel.shape
    votes = torch.zeros(height // cell, width // cell, bins, dtype=torch.float64)
    for y in range(height):
        for x in range(width):
            near = lambda v, u: float(channel[mirrored(y + v, height), mirrored(x + u, width)])  # noqa: B023, E731
            across = sum(weight * near(v, u) for (v, u), weight in SOBEL.items())
            down = sum(weight * near(u, v) for (v, u), weight in SOBEL.items())
            angle = math.atan2(across, down) / math.pi * bins
            votes[y // cell, x // cell, math.floor(angle) % bins] += math.hypot(across, down)
    return votes / votes.norm(dim=-1, keepdim=True)


@pytest.mark.parametrize(("cells", "cell"), [(4, 2), (2, 4), (1, 8), (1 / 2, 16)])
@pytest.mark.parametrize("bins", [9, 18])
def test_values_equal_a_plain_loop_over_pixels(cells, cell, bins):
    torch.manual_seed(0)
    view = torch.randn(1, 2, 16, 32)
    made = ask(make(cells, (16, 32), channels=2, bins=bins), view)
    values = made.values if isinstance(made, Made) else made
    loop = torch.stack([by_pixel(channel, cell, bins) for channel in view[0]], 2)  # [R Q C K]
    inside = max(1, int(cells))
    expected = loop.unflatten(1, (-1, inside)).unflatten(0, (-1, inside)).permute(0, 2, 1, 3, 4, 5)
    torch.testing.assert_close(
        values, expected.flatten(2).flatten(0, 1)[None].float(), rtol=1e-4, atol=1e-4
    )


def ramp(degrees, size=32):
    """A plane that rises towards this direction, from down towards across."""
    places = torch.arange(size, dtype=torch.float64)
    turn = math.radians(degrees)
    return (math.cos(turn) * places[:, None] + math.sin(turn) * places)[None, None].float()


@pytest.mark.parametrize(
    ("degrees", "number"), [(10, 0), (30, 1), (50, 2), (90, 4), (130, 6), (170, 8), (190, 0)]
)
@pytest.mark.parametrize("cells", [2, 1])
def test_all_of_a_ramp_is_in_the_bin_of_its_direction(degrees, number, cells):
    """Bins are 20 degrees wide; opposite directions are one. Borders are reflected."""
    values = ask(make(cells, channels=1), ramp(degrees)).unflatten(2, (cells**2, 9))
    inner = torch.nn.functional.one_hot(torch.tensor(number), 9).float()
    for patch in (5, 6, 9, 10):
        torch.testing.assert_close(values[0, patch], inner.expand(cells**2, 9))


def test_the_other_convention_counts_from_across_and_takes_plain_differences():
    """As scikit-image: the angle of (down, across) modulo 180 degrees, and the mean over a cell."""
    target = make(1, channels=1, kernel="central", zero="across", normalise="none")
    values = ask(target, ramp(60))  # 30 degrees from across
    torch.testing.assert_close(
        values[0, 5], torch.tensor([0.0, 2.0, 0, 0, 0, 0, 0, 0, 0]), rtol=1e-5, atol=1e-5
    )


def test_gradients_across_a_border_are_nothing():
    """A ramp down has no change at the first and last row."""
    values = ask(make(1, channels=1, kernel="central", normalise="none"), ramp(0))
    down = values[0, :, 0].view(4, 4)
    torch.testing.assert_close(down[:, 1], torch.tensor([2 * 7 / 8, 2.0, 2.0, 2 * 7 / 8]))


@pytest.mark.parametrize("cells", [4, 2, 1, 1 / 2])
def test_a_flat_cell_gives_zeros_and_any_other_a_unit_vector_for_each_channel(cells):
    torch.manual_seed(0)
    view = torch.full((1, 3, 32, 32), 1.7)
    view[..., 20:, :] += torch.randn(1, 3, 12, 32)
    made = ask(make(cells), view)
    values = made.values if isinstance(made, Made) else made
    norms = values.unflatten(2, (-1, 9)).norm(dim=-1)
    quarter = norms.shape[1] // 4
    assert (norms[:, :quarter] == 0).all()
    torch.testing.assert_close(norms[:, -quarter:], torch.ones_like(norms[:, -quarter:]))


@pytest.mark.parametrize("value", [1.7, 0.1, 0.3, 3.0])
def test_an_edge_along_an_axis_is_in_one_bin(value):
    """Rounding must not push it over the border between the last bin and the first."""
    for transpose, number in ((False, 0), (True, 4)):
        view = torch.full((1, 1, 32, 32), value)
        view[..., 13:, :] = -value
        values = ask(make(1, channels=1), view.mT if transpose else view)
        assert values.amax() == 1
        assert values.sum((0, 1)).nonzero().flatten().tolist() == [number]


def test_brightness_and_contrast_change_nothing():
    torch.manual_seed(0)
    view = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(ask(make(), view * 3 + 1), ask(make(), view), rtol=1e-3, atol=1e-3)


def test_bins_may_be_standardised_or_left():
    torch.manual_seed(0)
    view = torch.randn(1, 3, 32, 32)
    plain = ask(make(normalise="none"), view).unflatten(2, (12, 9))
    found = ask(make(normalise="standard"), view).unflatten(2, (12, 9))
    centred = plain - plain.mean(-1, keepdim=True)
    expected = centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt()
    torch.testing.assert_close(found, expected)


def test_values_are_those_of_the_predicted_patches():
    view, ids = torch.randn(2, 3, 32, 32), torch.tensor([[0, 2], [1, 3]])
    target = make()
    expected = torch.stack(
        [values[row] for values, row in zip(ask(target, view), ids, strict=True)]
    )
    assert torch.equal(ask(target, view, Mask(ids, ids, ids)), expected)
    assert target.width == expected.shape[2] == 108


def test_a_wide_cell_weighs_as_many_of_its_patches_as_are_asked_for():
    """Predict the first row and the last patch of a 4 x 4 grid. Cells are 2 x 2 patches."""
    ids = torch.tensor([[0, 1, 2, 3, 15]])
    made = ask(make(1 / 2), torch.randn(1, 3, 32, 32), Mask(ids, ids, ids))
    assert made.values.shape == (1, 4, 27)
    assert made.weight.tolist() == [[0.5, 0.5, 0, 0.25]]
    assert ask(make(1 / 2), torch.randn(1, 3, 32, 32)).weight is None


@pytest.mark.parametrize("frame", [0, 1])
def test_a_patch_of_a_clip_is_described_by_one_of_its_frames(frame):
    """Of four frames in patches of two: 0 and 2, or 1 and 3."""
    torch.manual_seed(0)
    view = torch.randn(2, 3, 4, 32, 32)
    values = ask(make(2, (4, 32, 32), (2, 8, 8), frame=frame), view)
    assert values.shape == (2, 2 * 16, 108)
    still = [ask(make(2), view[:, :, at]) for at in (frame, frame + 2)]
    assert torch.equal(values, torch.cat(still, 1))


def test_float32_without_gradient_under_autocast():
    view = torch.randn(1, 3, 32, 32, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        values = ask(make(), view.half())
    assert values.dtype == torch.float32
    assert not values.requires_grad


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"cells": 0.7},
            "cells: expected a whole number n, or 1/n, got 0.7; set 4, 2, 1 or 1/2",
        ),
        ({"cells": 1.5}, "cells: expected a whole number n, or 1/n, got 1.5"),
        ({"cells": 0}, "cells: expected a whole number n, or 1/n, got 0"),
        (
            {"cells": 3},
            r"cells: expected a divisor of the patch's sides \(8, 8\), got 3; change cells",
        ),
        (
            {"kernel": "scharr"},
            "kernel: expected one of sobel, central, got 'scharr'; name one of them",
        ),
        ({"zero": "up"}, "zero: expected one of down, across, got 'up'; name one of them"),
        (
            {"normalise": "l2"},
            "normalise: expected one of length, standard, none, got 'l2'; name one of them",
        ),
        (
            {"frame": 1},
            "frame: expected 0 to 0, as a patch has 1 frames, got 1; name one of them",
        ),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ValueError, match=f"Gradients: {message}"):
        make(**options)


def test_views_that_wide_cells_do_not_divide_and_masks_with_weights_are_refused():
    target = make(1 / 2)
    with pytest.raises(
        ConfigError,
        match=r"Gradients: view: expected sides divisible by a cell's sides \(16, 16\), got",
    ):
        ask(target, torch.randn(1, 3, 24, 24))
    ids = torch.tensor([[0, 1]])
    weighed = Mask(ids, ids, ids, weight=torch.ones(1, 2))
    with pytest.raises(
        ConfigError,
        match="Gradients: cells: expected 1 or more, as the mask has weights of patches",
    ):
        ask(target, torch.randn(1, 3, 32, 32), weighed)
