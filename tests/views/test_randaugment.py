"""RandAugment's operations against Pillow on 8-bit pictures, and how they are drawn."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from pymim import philox, views
from pymim.contracts import Draw
from pymim.errors import ConfigError
from pymim.views.randaugment import NAMES
from tests.views.test_operations import picture, tensor

FILL = (124, 116, 104)  # ImageNet's mean
STRENGTHS = (-0.9, -0.35, 0.05, 0.35, 0.9, 1.0)


def enhanced(kind):
    return lambda image, s: kind(image).enhance(1 + 0.9 * s)


def solarised_add(image, s):
    added = min(128, int(abs(s) * 110 + 1e-9))
    return image.point([min(255, i + added) if i < 128 else i for i in range(256)] * 3)


def posterised(image, s):
    bits = 4 - int(abs(s) * 4 + 1e-9)
    return (
        ImageOps.posterize(image, bits) if bits else Image.new("RGB", image.size)
    )  # Pillow refuses 0 bits now


def affine(rows):
    """Pillow's own transform by rows(strength, width, height), with the mean from outside."""

    def judge(image, s, method):
        data = rows(s, *image.size)
        return image.transform(image.size, Image.Transform.AFFINE, data, method, fillcolor=FILL)

    return judge


VALUES = {
    "autocontrast": lambda image, s: ImageOps.autocontrast(image),
    "equalise": lambda image, s: ImageOps.equalize(image),
    "invert": lambda image, s: ImageOps.invert(image),
    "posterise": posterised,
    "solarise": lambda image, s: ImageOps.solarize(image, 256 - int(abs(s) * 256 + 1e-9)),
    "solarise_add": solarised_add,
    "colour": enhanced(ImageEnhance.Color),
    "contrast": enhanced(ImageEnhance.Contrast),
    "brightness": enhanced(ImageEnhance.Brightness),
    "sharpness": enhanced(ImageEnhance.Sharpness),
}
PLACES = {
    "rotate": lambda image, s, method: image.rotate(30 * s, method, fillcolor=FILL),
    "shear_x": affine(lambda s, w, h: (1, 0.3 * s, 0, 0, 1, 0)),
    "shear_y": affine(lambda s, w, h: (1, 0, 0, 0.3 * s, 1, 0)),
    "translate_x": affine(lambda s, w, h: (1, 0, 0.45 * s * w, 0, 1, 0)),
    "translate_y": affine(lambda s, w, h: (1, 0, 0, 0, 1, 0.45 * s * h)),
}


def ours(name, image, strength, **options):
    found = views.RandAugment(**options).apply(
        name, tensor(image), torch.tensor([strength], dtype=torch.float64)
    )
    return found[0].permute(1, 2, 0).numpy() * 255


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("name", VALUES)
def test_values_are_pillows(name, strength):
    image = picture()
    theirs = np.array(VALUES[name](image, strength)).astype(float)
    assert np.abs(ours(name, image, strength) - theirs).max() <= 1.51


@pytest.mark.parametrize("method", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("name", PLACES)
def test_geometry_equals_pillow(name, strength, method):
    image = picture()
    resampling = Image.Resampling[method.upper()]
    theirs = np.array(PLACES[name](image, strength, resampling)).astype(float)
    away = np.abs(ours(name, image, strength, method=method) - theirs).max(-1)
    assert (away < 1.6).mean() > 0.97  # at an edge, or between two pixels as near, rounding decides


def test_every_operation_has_a_judge():
    assert {*VALUES, *PLACES} == set(NAMES) and len(NAMES) == 15


def test_operations_have_the_asked_probability_strength_and_sign():
    images = torch.rand(3000, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 0.5
    name = philox.Name(0, 0, np.arange(3000))
    once = views.RandAugment(1, 5.0, 0.5, 0.5, ("brightness",), statistics="half")(images, name, 64)
    factor = (once / images).flatten(1).mean(1)
    changed = factor[(factor - 1).abs() > 1e-4]
    assert abs(len(changed) / 3000 - 0.5) < 0.03
    assert abs((changed > 1).float().mean() - 0.5) < 0.04
    magnitude = (changed - 1).abs() / 0.09
    assert abs(magnitude.mean() - 5) < 0.06 and abs(magnitude.std() - 0.5) < 0.03
    kept = views.RandAugment(1, 10.0, 0.0, 1.0, ("brightness",), statistics="half")(
        images, name, 64
    )
    assert set(((kept / images).flatten(1).mean(1) * 10).round().tolist()) == {1.0, 19.0}
    pair = views.RandAugment(1, p=1.0, names=("invert", "solarise"), statistics="half")(
        images / 9, name, 64
    )
    assert abs(torch.isclose(pair, 1 - images / 9).flatten(1).all(1).float().mean() - 0.5) < 0.03


def test_two_operations_leave_a_quarter_as_it_is():
    images = torch.rand(2000, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    out = views.RandAugment(2, names=("sharpness", "brightness"))(
        images, philox.Name(0, 0, np.arange(2000)), 64
    )
    same = (out == images).flatten(1).all(1).float().mean()
    assert abs(same - 0.25) < 0.04 and out.min() >= 0 and out.max() <= 1


@pytest.mark.parametrize("shape", [(6, 3, 12, 17), (6, 3, 2, 17, 12), (6, 4, 8, 8)])
def test_a_change_depends_on_the_picture_alone(shape):
    names = () if shape[1] == 3 else [n for n in NAMES if n not in ("colour", "contrast")]
    make = views.RandAugment(4, p=1.0, names=names, statistics="half")
    images = torch.rand(6, *shape[1:2], *shape[-2:], generator=torch.Generator().manual_seed(0))
    images = images[:, :, None].expand(shape).clone() if len(shape) == 5 else images
    before = images.clone()
    out = make(images, philox.Name(0, 3, np.arange(6)), 64)
    assert out.shape == shape and out.isfinite().all() and not torch.equal(out, before)
    assert torch.equal(images, before)
    torch.testing.assert_close(out[2:4], make(images[2:4], philox.Name(0, 3, np.arange(2, 4)), 64))
    if len(shape) == 5:
        torch.testing.assert_close(out[:, :, 0], out[:, :, 1])


def test_a_view_fills_the_outside_with_the_mean():
    change = views.RandAugment(1, 10.0, 0.0, 1.0, ("translate_x",))
    view = views.Pretrain(20, changes=[change])
    out = view(torch.zeros(6, 3, 20, 20, dtype=torch.uint8), torch.arange(6), Draw(0, 0, 0))
    black = (torch.zeros(3) - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor(
        [0.229, 0.224, 0.225]
    )
    filled = out.abs().amax(1) < 1e-5
    assert torch.equal(filled.flatten(1).sum(1), torch.full((6,), 20 * 9))  # 0.45 of 20 columns
    torch.testing.assert_close(out.permute(0, 2, 3, 1)[~filled], black.expand(6 * 220, 3))


def test_invalid_arguments_are_refused():
    other = torch.rand(2, 4, 8, 8)
    with pytest.raises(
        ConfigError,
        match="names: expected operations for 4 channels, got colour, contrast, which need 3",
    ):
        views.RandAugment(statistics="half")(other, philox.Name(0, 0, np.arange(2)), 64)
    with pytest.raises(
        ValueError, match=r"RandAugment: names: expected some of .*, got blur; choose among them"
    ):
        views.RandAugment(names=("blur",))
    with pytest.raises(
        ValueError, match="RandAugment: method: expected one of nearest, bilinear, bicubic"
    ):
        views.RandAugment(method="a")
    with pytest.raises(
        ConfigError, match="RandAugment: magnitude: expected a number from 0 to 10, got 30"
    ):
        views.RandAugment(magnitude=30)
