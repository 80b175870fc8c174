"""What a view shows, and that it depends on nothing but its name."""

import colorsys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter

from pymim import philox, views
from pymim.contracts import Draw
from pymim.errors import ConfigError
from pymim.views import change
from pymim.views.crop import middle, random_boxes
from pymim.views.resample import resample

ALL = (views.Jitter(p=1), views.Grey(p=0.5), views.Blur(p=0.5), views.Solarise(p=0.5))
PLAIN = (views.Jitter(saturation=0, hue=0), views.Blur(), views.Solarise())


def pixels(*shape, seed=0):
    return torch.randint(
        0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )


def name(images, seed=0):
    return philox.Name(seed, 0, np.arange(images))


BOXES = [(0, 0, 40, 48), (3, 5, 30, 20), (10, 2, 7, 11), (0, 0, 1, 1)]


@pytest.mark.parametrize("kernel", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [(16, 16), (24, 10), (64, 50)])
@pytest.mark.parametrize("together", [True, False])
def test_resampling_is_pillows(size, together, kernel):
    image = pixels(3, 40, 48) // 2 + 64  # Pillow clips between its two passes
    stack = image.expand(len(BOXES), -1, -1, -1) if together else [image] * len(BOXES)
    result = resample(stack, torch.tensor(BOXES), size, kernel=kernel) * 255
    for (top, left, h, w), ours in zip(BOXES, result, strict=True):
        piece = Image.fromarray(image[:, top : top + h, left : left + w].permute(1, 2, 0).numpy())
        theirs = torch.from_numpy(
            np.array(piece.resize(size[::-1], Image.Resampling[kernel.upper()]))
        )
        assert (ours.permute(1, 2, 0) - theirs).abs().max() <= 2.01


@pytest.mark.parametrize("together", [True, False])
def test_a_negative_width_mirrors(together):
    image = pixels(2, 3, 20, 24)
    stack = image if together else list(image)
    boxes = torch.tensor([(2, 3, 15, 18), (0, 0, 20, 24)])
    plain, mirrored = (
        resample(stack, boxes * torch.tensor([1, 1, 1, sign]), (8, 8)) for sign in (1, -1)
    )
    assert torch.allclose(plain.flip(-1), mirrored, atol=1e-5)


@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 2**40))
@settings(max_examples=50, deadline=None)
def test_boxes_lie_in_the_picture(height, width, seed):
    boxes = random_boxes(
        torch.tensor([[height, width]] * 20), name(20, seed), (0.2, 1), (3 / 4, 4 / 3)
    )
    top, left, h, w = boxes.unbind(1)
    assert (boxes >= 0).all() and (h > 0).all() and (w > 0).all()
    assert (top + h <= height).all() and (left + w <= width).all()


def test_boxes_have_the_asked_areas_and_aspects():
    top, left, h, w = random_boxes(
        torch.tensor([[400, 400]] * 5000), name(5000), (0.2, 0.5), (1 / 2, 2)
    ).unbind(1)
    share = h * w / 160_000
    assert share.min() > 0.198 and share.max() < 0.502 and abs(share.mean() - 0.35) < 0.01
    assert (w / h).log().mean().abs() < 0.03 and (w / h).min() > 0.49 and (w / h).max() < 2.02
    assert top.max() > 180 and top.min() == 0 and abs((left / (400 - w)).mean() - 0.5) < 0.02


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
def test_the_frames_of_a_clip_are_treated_alike(together):
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


def usual(image, size, share):
    """Resize with Pillow to a shorter side of size / share, and cut out the middle."""
    least = int(size / share)
    height, width = image.shape[1:]
    scaled = (
        (least, int(least * width / height))
        if height <= width
        else (int(least * height / width), least)
    )
    whole = Image.fromarray(image.permute(1, 2, 0).numpy()).resize(
        scaled[::-1], Image.Resampling.BICUBIC
    )
    top, left = (round((side - size) / 2.0) for side in scaled)
    return torch.from_numpy(np.array(whole.crop((left, top, left + size, top + size)))).permute(
        2, 0, 1
    )


@pytest.mark.parametrize(("size", "share"), [(224, 0.875), (96, 0.875), (64, 1.0), (56, 0.9)])
@pytest.mark.parametrize(
    "shape", [(300, 225), (375, 500), (333, 257), (256, 256), (120, 121), (500, 331)]
)
def test_the_centre_is_that_of_resize_and_crop(size, share, shape):
    image = pixels(3, *shape) // 2 + 64  # Pillow clips between its two passes
    right = usual(image, size, share).float()
    view = views.Center(size, share, statistics="none")
    alone, together = view([image])[0] * 255, view(image[None])[0] * 255
    assert (together - right).abs().max() <= 2.01 and (together - right).abs().mean() < 0.5
    assert (alone - right).abs().max() <= 2.01 and (alone - right).abs().mean() < 0.1
    mapped = views.Center(size, share, "none", nearest=(0, 1, 2))([image, image])[1] * 255
    scaled = middle(torch.tensor([shape]), (size, size), share).scaled[0].tolist()
    rows, columns = (
        torch.tensor(
            [(2 * (round((side - size) / 2) + n) + 1) * length // (2 * side) for n in range(size)]
        )
        for length, side in zip(shape, scaled, strict=True)
    )  # in whole numbers; Pillow's sums round, where two are as near
    assert torch.equal(mapped.round(), image[:, rows[:, None], columns].float())


def test_the_centre_of_a_picture():
    def box(shape, size, share):
        return (
            middle(torch.tensor([shape]), size, share).boxes(torch.tensor([shape]), size).tolist()
        )

    assert box((256, 320), (224, 224), 0.875) == [[16, 48, 224, 224]]
    assert box((32, 32), (32, 32), 1.0) == [[0, 0, 32, 32]]
    assert box((10, 40), (4, 8), 1.0) == [[0, 10, 10, 20]]
    images = pixels(2, 3, 32, 32)
    assert torch.equal(views.Center(32, share=1, statistics="none")(images), images / 255)


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


@pytest.mark.parametrize(
    "size", [(16, 16), (24, 10), (64, 32), (8, 4)]
)  # Pillow's sums round, where two are as near
@pytest.mark.parametrize("together", [True, False])
def test_maps_take_the_nearest_pixel_as_pillow_does(size, together):
    image = pixels(3, 40, 48)
    stack = image.expand(len(BOXES), -1, -1, -1) if together else [image] * len(BOXES)
    signs = torch.tensor([1, 1, 1, -1])
    plain = resample(stack, torch.tensor(BOXES), size)
    for flipped in (False, True):
        made = resample(stack, torch.tensor(BOXES) * (signs if flipped else 1), size, nearest=(1,))
        for (top, left, h, w), ours in zip(BOXES, made, strict=True):
            piece = Image.fromarray(image[1, top : top + h, left : left + w].numpy())
            theirs = np.array(piece.resize(size[::-1], Image.Resampling.NEAREST))
            np.testing.assert_array_equal(ours[1] * 255, theirs[:, ::-1] if flipped else theirs)
        if not flipped:
            assert torch.equal(made[:, [0, 2]], plain[:, [0, 2]])


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


def test_views_that_cannot_be_are_refused():
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
