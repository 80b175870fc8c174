"""Pixel targets in two normalisations, and back."""

import pytest
import torch

from pymim.contracts import Mask
from pymim.encoders import ViT
from pymim.layers.patch import unpatchify
from pymim.losses import MSE
from pymim.targets import Pixels
from tests.asking import ask


def make(normalise="patch", channels=3, image=(32, 32), patch=16, **options):
    return Pixels(ViT(24, 1, 2, image=image, patch=patch, channels=channels), normalise, **options)


def call(target, view, mask=None):
    return ask(target, view, mask)


def test_raw_pixels_have_channels_last():
    target = make("none", image=(4, 4), patch=2)
    image = torch.arange(48.0).view(1, 3, 4, 4)
    assert call(target, image)[0, 0].tolist() == [0, 16, 32, 1, 17, 33, 4, 20, 36, 5, 21, 37]
    assert target.width == 12


def test_patch_normalisation_is_joint_and_unbiased():
    torch.manual_seed(0)
    view = torch.randn(2, 3, 32, 32) + torch.tensor([0.0, 1.0, 5.0]).view(3, 1, 1)
    values = call(make(), view)
    assert values.shape == (2, 4, 768)
    torch.testing.assert_close(values.mean(-1), torch.zeros(2, 4), rtol=0, atol=1e-5)
    torch.testing.assert_close(values.var(-1), torch.ones(2, 4), rtol=0, atol=1e-4)
    offsets = values.unflatten(2, (256, 3)).mean(2)
    assert (offsets[..., 2] - offsets[..., 0] > 1).all()  # channels keep theirs


def test_channel_normalisation_removes_offsets():
    view = torch.randn(2, 3, 32, 32) * torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1) + 4
    values = call(make("channel"), view).unflatten(2, (256, 3))
    torch.testing.assert_close(values.mean(2), torch.zeros(2, 4, 3), rtol=0, atol=1e-5)
    torch.testing.assert_close(values.std(2), torch.ones(2, 4, 3), rtol=0, atol=1e-4)


def test_epsilon_stands_where_the_papers_have_it():
    torch.manual_seed(0)
    noise = torch.randn(1, 1, 16, 16)
    view = (noise - noise.mean()) / noise.std() * 1e-5
    one = {"channels": 1, "image": (16, 16)}
    assert call(make("patch", **one), view).std() == pytest.approx(0.0099, abs=2e-4)
    assert call(make("channel", **one), view).std() == pytest.approx(0.909, abs=5e-3)


@pytest.mark.parametrize("normalise", ["patch", "channel"])
def test_a_constant_patch_is_zero(normalise):
    assert (call(make(normalise), torch.full((1, 3, 32, 32), 0.7)) == 0).all()


def test_zero_predictions_start_near_one():
    torch.manual_seed(0)
    values = call(make(), torch.randn(2, 3, 32, 32))
    assert MSE()(torch.zeros_like(values), values).mean() == pytest.approx(767 / 768, abs=1e-4)


@pytest.mark.parametrize("normalise", ["none", "patch", "channel"])
@pytest.mark.parametrize("statistics", ["none", ((0.4, 0.5, 0.6), (0.2, 0.3, 0.4)), "half"])
@pytest.mark.parametrize(("image", "patch"), [((32, 48), 16), ((4, 16, 16), (2, 8, 8))])
def test_targets_go_back_to_pixels(normalise, statistics, image, patch):
    target = make(normalise, image=image, patch=patch, statistics=statistics)
    view = torch.randn(2, 3, *image)
    pixels = target.to_pixels(call(target, view), view, None)
    grid = tuple(side // p for side, p in zip(image, target.patch, strict=True))
    torch.testing.assert_close(unpatchify(pixels, grid, target.patch), view, rtol=1e-4, atol=1e-4)


def test_values_are_those_of_the_predicted_patches():
    view = torch.randn(2, 3, 32, 32)
    ids = torch.tensor([[0, 2], [1, 3]])
    target = make()
    expected = torch.stack(
        [values[row] for values, row in zip(call(target, view), ids, strict=True)]
    )
    assert torch.equal(call(target, view, Mask(3 - ids, ids, ids)), expected)
    back = target.to_pixels(expected, view, ids)
    torch.testing.assert_close(
        back, call(make("none"), view, Mask(ids, ids, ids)), rtol=1e-4, atol=1e-4
    )


def test_float32_under_autocast_and_no_overflow():
    with torch.autocast("cpu", torch.bfloat16):
        values = call(make(), torch.randn(1, 3, 32, 32) * 300)
    assert values.dtype == torch.float32
    assert values.isfinite().all()
    assert call(make(), (torch.randn(1, 3, 32, 32) * 300).half()).isfinite().all()


def test_bad_normalisation_is_refused():
    with pytest.raises(
        ValueError, match="Pixels: normalise: expected one of none, patch, channel, got 'image'"
    ):
        make("image")


def test_pixels_are_mapped_back_before_they_are_normalised():
    image = torch.rand(1, 3, 32, 32) * 1e-5 + 0.5
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)
    view = (image - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    expected = call(make("channel"), image)
    torch.testing.assert_close(
        call(make("channel", statistics=(mean, std)), view), expected, atol=0.02, rtol=0.02
    )
    assert (call(make("channel"), view) - expected).abs().max() > 0.1


def test_one_frame_of_each_patch_may_be_enough():
    target = make("none", image=(16, 4, 4), patch=(2, 4, 4), every_frame=False)
    view = torch.arange(16.0).view(1, 1, 16, 1, 1).expand(1, 3, 16, 4, 4)
    values = call(target, view)
    assert target.width == 48
    assert values[0, :, 0].tolist() == [0, 2, 4, 6, 8, 10, 12, 15]  # of 16, not every second one
    torch.testing.assert_close(
        unpatchify(target.to_pixels(values, view, None), (8, 1, 1), (1, 4, 4)), target.shown(view)
    )


def test_the_one_frame_of_a_patch_may_be_its_first():
    """0 and 2 of 4 frames (MaskFeat), where spread evenly they are 0 and 3."""
    view = torch.arange(4.0).view(1, 1, 4, 1, 1).expand(2, 3, 4, 4, 4)
    sizes = {"image": (4, 4, 4), "patch": (2, 4, 4), "every_frame": False}
    first, spread = (make("none", spread=spread, **sizes) for spread in (False, True))
    assert call(first, view)[0, :, 0].tolist() == [0, 2]
    assert call(spread, view)[0, :, 0].tolist() == [0, 3]
    values = call(first, view)
    torch.testing.assert_close(
        unpatchify(first.to_pixels(values, view, None), (2, 1, 1), (1, 4, 4)), view[:, :, ::2]
    )
    with pytest.raises(
        ValueError, match="Pixels: every_frame: expected False with spread = False, got True"
    ):
        make("none", spread=False, image=(4, 4, 4), patch=(2, 4, 4))
