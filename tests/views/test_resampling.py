"""Crops are placed as asked, and resized as Pillow does."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pymim import views
from pymim.views.crop import middle, random_boxes
from pymim.views.resample import resample
from tests.views.pictures import name, pixels

BOXES = [(0, 0, 40, 48), (3, 5, 30, 20), (10, 2, 7, 11), (0, 0, 1, 1)]


@pytest.mark.parametrize("kernel", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [(16, 16), (24, 10), (64, 50)])
@pytest.mark.parametrize("together", [True, False])
def test_resampling_equals_pillow(size, together, kernel):
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
def test_boxes_are_inside_the_picture(height, width, seed):
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
