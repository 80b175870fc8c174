"""Changes of pixels: jitter, hue, grey, blur, solarise and cutout."""

import colorsys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from pymim import views
from pymim.views import change
from tests.views.pictures import name


def test_brightness_contrast_and_saturation():
    images = torch.rand(64, 3, 8, 8)
    assert torch.allclose(views.Jitter(0, 0, 0, 0, p=1)(images, name(64), 0), images)
    bright = views.Jitter(0.4, 0, 0, 0, p=1)(images / 2, name(64), 0) / (images / 2)
    assert bright.min() > 0.59 and bright.max() < 1.41 and bright.flatten(1).std(1).max() < 1e-4
    flat = torch.full((64, 3, 8, 8), 0.5)
    assert torch.allclose(views.Jitter(0, 0.9, 0.9, 0, p=1)(flat, name(64), 0), flat)
    changed = views.Jitter(0, 0, 0.9, 0, p=1)(images * 0.2 + 0.4, name(64), 0)
    assert torch.allclose(
        change.luminance(changed), change.luminance(images * 0.2 + 0.4), atol=1e-5
    )


@given(st.tuples(*[st.integers(0, 255)] * 3), st.floats(-0.5, 0.5))
def test_turning_the_hue(colour, turn):
    ours = change.turned(torch.tensor(colour).view(1, 3, 1, 1) / 255, torch.tensor([[[[turn]]]]))
    hue, saturation, value = colorsys.rgb_to_hsv(*(part / 255 for part in colour))
    theirs = colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value)
    np.testing.assert_allclose(ours.flatten(), theirs, atol=1e-4)


def test_blur_is_scipys_away_from_the_border():
    images = torch.rand(4, 2, 33, 31)
    ours = views.Blur((1.5, 1.5), p=1)(images.clone(), name(4), 0)
    theirs = gaussian_filter(images.numpy(), (0, 0, 1.5, 1.5), truncate=8)
    np.testing.assert_allclose(ours[..., 12:-12, 12:-12], theirs[..., 12:-12, 12:-12], atol=1e-4)
    flat = torch.full((4, 2, 9, 9), 0.3)
    assert torch.allclose(views.Blur((0.1, 2), p=1)(flat.clone(), name(4), 0), flat)


def test_grey_and_solarise_happen_as_often_as_asked():
    images = torch.rand(2000, 3, 2, 2)
    grey = views.Grey(0.2)(images, name(2000), 0)
    alike = (grey == grey[:, :1]).flatten(1).all(1)
    assert 350 < alike.sum() < 450 and torch.equal(grey[~alike], images[~alike])
    solarised = views.Solarise(0.5, p=1)(images, name(2000), 0)
    assert solarised.max() <= 0.5 and torch.equal(solarised[images < 0.5], images[images < 0.5])


@pytest.mark.parametrize("shape", [(400, 3, 20, 30), (400, 3, 2, 20, 30)])
def test_cutout_is_one_square_that_the_border_may_cut(shape):
    images = torch.full(shape, 0.5)
    hidden = views.Cutout((3, 6), fill=0.25)(images, name(400), 0) == 0.25
    assert torch.equal(hidden, hidden[:, :1, ..., :, :].expand_as(hidden))  # of every channel
    square = hidden[:, 0] if len(shape) == 4 else hidden[:, 0, 1]
    rows, columns = square.any(2).sum(1), square.any(1).sum(1)
    assert torch.equal(square.sum((1, 2)), rows * columns)
    whole = ~(square[:, [0, -1]].any((1, 2)) | square[:, :, [0, -1]].any((1, 2)))
    assert torch.equal(rows[whole], columns[whole]) and set(rows[whole].tolist()) == {3, 4, 5, 6}
    assert (rows != columns).any() and 0.05 < (~whole).float().mean() < 0.6
    assert square[:, 0, 0].any() and square[:, -1, -1].any()


def test_cutout_fills_each_channel_as_often_as_asked():
    images = torch.ones(1000, 3, 8, 8)
    cut = views.Cutout((20, 20), fill=(0.1, 0.2, 0.3), p=0.3)(images, name(1000), 0)
    touched = (cut != 1).flatten(1).any(1)
    assert 250 < touched.sum() < 350
    assert torch.equal(cut[touched][:, :, 4, 4].unique(dim=0), torch.tensor([[0.1, 0.2, 0.3]]))
    with pytest.raises(
        ValueError, match="Cutout: fill: expected one value, or one for each of 3 channels, got 2"
    ):
        views.Cutout(fill=(0.1, 0.2))(images, name(1000), 0)
    with pytest.raises(
        ValueError, match=r"Cutout: side: expected two ascending numbers, got \(4, 2\)"
    ):
        views.Cutout((4, 2))
