"""What a view shows, and that it depends on nothing but its name."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pymim import views
from pymim.contracts import Draw
from pymim.errors import ConfigError
from pymim.views.resample import resample
from tests.views.pictures import pixels

ALL = (views.Jitter(p=1), views.Grey(p=0.5), views.Blur(p=0.5), views.Solarise(p=0.5))

PLAIN = (views.Jitter(saturation=0, hue=0), views.Blur(), views.Solarise())


@given(st.sampled_from([1, 3, 4, 12]), st.integers(1, 40), st.integers(1, 40), st.booleans())
@settings(max_examples=30, deadline=None)
def test_any_channels_and_shape(channels, height, width, clip):
    shape = (2, channels, *((3,) if clip else ()), height, width)
    view = views.Pretrain((8, 12), changes=ALL if channels == 3 else PLAIN, statistics="half")
    for images in (pixels(*shape), list(pixels(*shape)), pixels(*shape).float() / 255):
        out = view(images, torch.arange(2), Draw(0, 0, 0))
        assert (
            out.shape == (*shape[:-2], 8, 12)
            and out.dtype == torch.float32
            and out.isfinite().all()
        )


@pytest.mark.parametrize("together", [True, False])
def test_a_view_depends_on_its_name_alone(together):
    images, index = pixels(16, 3, 32, 32), torch.arange(16) * 7
    view = views.Pretrain(16, changes=ALL)
    stack = images if together else list(images)
    whole = view(stack, index, Draw(1, 2, 3))
    assert torch.equal(whole[4:9], view(stack[4:9], index[4:9], Draw(1, 2, 3)))
    epochs = np.array([2] * 8 + [5] * 8)
    assert torch.equal(whole[:8], view(stack, index, Draw(1, epochs, 3))[:8])
    same = images[:1].expand(16, -1, -1, -1)
    for other in (Draw(0, 2, 3), Draw(1, 3, 3), Draw(1, 2, 4)):
        assert not torch.equal(whole, view(stack, index, other))
    assert len(view(same, index, Draw(1, 2, 3)).flatten(1).unique(dim=0)) == 16


@pytest.mark.parametrize("together", [True, False])
def test_the_frames_of_a_clip_are_treated_the_same(together):
    frame = pixels(4, 3, 1, 20, 20)
    clip = frame.expand(-1, -1, 5, -1, -1)
    out = views.Pretrain(12, changes=ALL)(
        clip if together else list(clip), torch.arange(4), Draw(0, 0, 0)
    )
    assert torch.equal(out, out[:, :, :1].expand_as(out))


def test_half_of_the_pictures_are_mirrored():
    images = torch.arange(8, dtype=torch.uint8).expand(1000, 1, 8, 8) * 30
    view = views.Pretrain(8, scale=(1, 1), ratio=(1, 1), statistics="none")
    out = view(images, torch.arange(1000), Draw(0, 0, 0))
    assert 450 < (out[:, 0, 0, 0] > out[:, 0, 0, 7]).sum() < 550


def test_normalising_and_back():
    images = torch.rand(2, 3, 4, 4)
    normalise = views.Normalise("imagenet")
    there = normalise(images.clone())
    assert torch.allclose(there[:, 1], (images[:, 1] - 0.456) / 0.224)
    assert torch.allclose(normalise.undo(there), images, atol=1e-6)
    assert views.Normalise(([0.5] * 12, [0.1] * 12))(torch.rand(2, 12, 3, 4, 4)).shape == (
        2,
        12,
        3,
        4,
        4,
    )


def test_multi_crop_is_a_list_of_views():
    large, small = views.Pretrain(16), views.Pretrain(8, scale=(0.05, 0.2))
    assert list(views.MultiCrop([large, small], [2, 3])) == [large, large, small, small, small]
    with pytest.raises(
        ValueError, match="MultiCrop: counts: expected one for each of 2 views, got 1"
    ):
        views.MultiCrop([large, small], [2])


def test_errors_say_what_to_do():
    images, index, draw = pixels(2, 4, 8, 8), torch.arange(2), Draw(0, 0, 0)
    with pytest.raises(
        ValueError, match="Normalise: statistics: expected 4 channels, got 3; measure them"
    ):
        views.Pretrain(8)(images, index, draw)
    with pytest.raises(
        ValueError, match="Grey: images: expected 3 channels, got 4; remove changes"
    ):
        views.Pretrain(8, changes=[views.Grey()], statistics="half")(images, index, draw)
    with pytest.raises(ValueError, match="Normalise: statistics: expected one of none, half"):
        views.Pretrain(8, statistics="imagnet")
    with pytest.raises(ValueError, match="view: draw: expected a Draw, got None"):
        views.Pretrain(8, statistics="half")(images, index, None)


def test_a_view_takes_the_channels_asked_for():
    images, index, draw = pixels(6, 4, 20, 20), torch.arange(6), Draw(0, 0, 0)
    whole = views.Pretrain(8, statistics="none")(images, index, draw)
    for channels, numbers in ((3, [0, 1, 2]), ((3,), [3]), ((2, 0), [2, 0])):
        for stack in (images, list(images)):
            some = views.Pretrain(8, statistics="none", channels=channels)(stack, index, draw)
            torch.testing.assert_close(some, whole[:, numbers], atol=0.02, rtol=0)
    mapped = views.Center(7, statistics="none", channels=(3, 1), nearest=(3,))(images)
    assert set(mapped[:, 0].mul(255).unique().tolist()) <= set(images[:, 3].unique().tolist())
    assert not set(mapped[:, 1].mul(255).unique().tolist()) <= set(images[:, 1].unique().tolist())


def test_what_a_view_draws_is_what_it_shows():
    images, index, draw = pixels(6, 3, 40, 40), torch.arange(6), Draw(0, 3, 0)
    view = views.Pretrain(16, statistics="none")
    (name, box), *rest = view.drawn(images, index, draw).items()
    assert name == "box" and not rest and box.dtype == torch.int64 and box.shape == (6, 4)
    assert (box[:, 3] < 0).any() and (box[:, 3] > 0).any()
    assert torch.equal(view(images, index, draw), resample(images, box, (16, 16)))
    assert views.Center(8).drawn(images)["box"].tolist() == [[0, 0, 40, 40]] * 6


def test_invalid_views_are_refused():
    images, index, draw = pixels(2, 3, 8, 8), torch.arange(2), Draw(0, 0, 0)
    with pytest.raises(
        ConfigError,
        match=r"Pretrain: channels: expected numbers below 3, .* got 3; set data.Loader.c",
    ):
        views.Pretrain(8, channels=(3,), statistics="none")(images, index, draw)
    with pytest.raises(
        ValueError, match=r"Center: nearest: expected some of the channels \[0, 1\], got \(2,\)"
    ):
        views.Center(8, channels=2, nearest=(2,))
    with pytest.raises(
        ValueError, match="Pretrain: same_changes: expected False without like, got True"
    ):
        views.Pretrain(8, same_changes=True)
    with pytest.raises(ConfigError, match="Pretrain: like: expected a loader that has view 0 too"):
        views.Pretrain(8, like=0)(images, index, draw)
