"""Each operation is Pillow's."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from pymim import philox, views
from pymim.contracts import Draw
from pymim.views.operations import BY_NAME

STRENGTHS = (0.05, 0.3, 0.5, 0.95)


def picture(seed=0, size=(40, 48)):
    random = np.random.default_rng(seed)
    values = random.integers(20, 230, (6, 7, 3), np.uint8)
    return Image.fromarray(values).resize(size[::-1], Image.Resampling.BICUBIC)


def tensor(image):
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 255


def ours(name, image, strength):
    return BY_NAME[name](tensor(image), torch.tensor([strength]))[0].permute(1, 2, 0) * 255


def affine(image, matrix):
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST)


def enhanced(kind):
    return lambda image, strength: kind(image).enhance(0.05 + 0.9 * strength)


def sheared(x, y):
    def judge(image, strength):
        w, h, amount = *image.size, 0.1 * (2 * strength - 1)
        return affine(
            image, (1, x * amount, -x * amount * h / 2, y * amount, 1, -y * amount * w / 2)
        )

    return judge


def moved(x, y):
    def judge(image, strength):
        w, h, amount = *image.size, 0.1 * (2 * strength - 1)
        return affine(image, (1, 0, x * amount * w, 0, 1, y * amount * h))

    return judge


VALUES = {  # that differ by rounding alone
    "identity": lambda image, strength: image,
    "autocontrast": lambda image, strength: ImageOps.autocontrast(image),
    "equalise": lambda image, strength: ImageOps.equalize(image),
    "solarise": lambda image, strength: ImageOps.solarize(image, 255 * strength),
    "posterise": lambda image, strength: ImageOps.posterize(image, 4 + int(5 * strength)),
    "colour": enhanced(ImageEnhance.Color),
    "contrast": enhanced(ImageEnhance.Contrast),
    "brightness": enhanced(ImageEnhance.Brightness),
    "sharpness": enhanced(ImageEnhance.Sharpness),
}
PLACES = {  # that may take another pixel where two are as near
    "rotate": lambda image, strength: image.rotate(60 * strength - 30),
    "shear_x": sheared(1, 0),
    "shear_y": sheared(0, 1),
    "translate_x": moved(1, 0),
    "translate_y": moved(0, 1),
}


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("name", VALUES)
def test_values_are_pillows(name, strength):
    image = picture()
    theirs = np.array(VALUES[name](image, strength)).astype(float)
    assert np.abs(ours(name, image, strength).numpy() - theirs).max() <= 1.51


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("name", PLACES)
def test_places_are_pillows(name, strength):
    image = picture()
    theirs = np.array(PLACES[name](image, strength)).astype(float)
    same = np.abs(ours(name, image, strength).numpy() - theirs).max(-1) < 0.5
    assert same.mean() > 0.97


def test_every_operation_has_a_judge():
    assert {*VALUES, *PLACES} == set(BY_NAME) and len(BY_NAME) == 14


def test_a_flat_channel_stays():
    flat = torch.full((2, 3, 5, 5), 0.5)
    half = torch.full((2,), 0.5)
    for name in ("autocontrast", "equalise", "colour", "contrast", "sharpness"):
        torch.testing.assert_close(BY_NAME[name](flat, half), flat, atol=1 / 255, rtol=0)


def test_operations_are_equally_likely_and_chosen_by_name():
    images = torch.rand(1400, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    name = philox.Name(0, 0, np.arange(1400))
    one = views.Operations(1, ("identity", "brightness"))(images, name, 64)
    assert 600 < (one == images).flatten(1).all(1).sum() < 800
    factor = (one / images).flatten(1).mean(1)
    changed = factor[factor < 0.999]
    assert changed.min() < 0.1 and changed.max() > 0.9 and abs(changed.mean() - 0.5) < 0.04
    four = views.Operations()(images, name, 64)
    assert four.min() >= 0 and four.max() <= 1 and four.isfinite().all()
    again = views.Operations()(images[500:], philox.Name(0, 0, np.arange(500, 1400)), 64)
    torch.testing.assert_close(four[500:], again)
    assert not torch.equal(views.Operations()(images, name, 128), four)


@pytest.mark.parametrize("shape", [(4, 3, 9, 12), (4, 3, 2, 9, 12)])
def test_all_frames_of_a_clip_are_changed_the_same(shape):
    frame = torch.randint(256, (4, 3, 9, 12), dtype=torch.uint8)
    stack = frame if len(shape) == 4 else frame[:, :, None].expand(shape)
    view = views.Pretrain(8, changes=[views.Operations()], statistics="none")
    out = view(stack, torch.arange(4), Draw(0, 0, 0))
    assert out.shape == (*shape[:-2], 8, 8)
    if len(shape) == 5:
        torch.testing.assert_close(out[:, :, 0], out[:, :, 1])


def test_unknown_operations_are_refused():
    with pytest.raises(
        ValueError,
        match=r"Operations: names: expected some of identity, .* got blur; choose among them",
    ):
        views.Operations(names=("rotate", "blur"))
    with pytest.raises(
        ValueError, match="Operations: count: expected a whole number, from 1 to 32, got 0"
    ):
        views.Operations(0)
