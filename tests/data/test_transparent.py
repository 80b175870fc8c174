"""Transparent pictures are blended with white; where they are opaque, no bit changes."""

import numpy as np
import pytest
import torch
from PIL import Image

from pymim.data.decode import decode
from tests.data import pictures as made
from tests.data.pictures import rows

MODES = {"RGBA": 4, "LA": 2}


@pytest.mark.parametrize("kind", ["png", "webp", "tiff"])
@pytest.mark.parametrize("mode", MODES)
def test_transparent_pixels_are_blended_with_white(kind, mode):
    pixels = made.levels(bands=MODES[mode])
    pixels[:4, ..., -1], pixels[4:8, ..., -1] = 0, 255
    blob = made.encoded(
        Image.fromarray(pixels),
        kind,
        **({"lossless": True, "exact": True} if kind == "webp" else {}),
    )
    real = pixels / 255
    right = np.broadcast_to(made.on_white(real) * 255, (12, 20, 3))
    read = rows(decode(blob, 3)).astype(float)
    np.testing.assert_allclose(read, right, atol=1)
    assert (read[:4] == 255).all() and np.array_equal(read[4:8], right[4:8].round())
    np.testing.assert_allclose(rows(decode(blob, 1)), right @ [0.299, 0.587, 0.114], atol=1.5)
    assert np.array_equal(rows(decode(blob, 4))[..., -1], pixels[..., -1])


@pytest.mark.parametrize("channels", [1, 3])
def test_an_opaque_alpha_changes_no_bit(channels):
    for image in (
        Image.fromarray(made.levels()),
        Image.fromarray(made.levels(bands=1)).convert("L"),
    ):
        layered = image.convert("RGBA" if image.mode == "RGB" else "LA")
        assert layered.getchannel("A").getextrema() == (255, 255)
        assert torch.equal(
            decode(made.encoded(layered, "png"), channels),
            decode(made.encoded(image, "png"), channels),
        )


def test_an_opaque_alpha_of_sixteen_bits_changes_no_bit():
    pytest.importorskip("imagecodecs")
    pixels = made.levels(bands=4, dtype=np.uint16)
    pixels[..., 3] = 65535
    with_alpha, without = (
        decode(made.deep_png(pixels), 3),
        decode(made.deep_png(pixels[..., :3]), 3),
    )
    assert torch.equal(with_alpha, without)


@pytest.mark.parametrize("kind", ["png", "gif"])
def test_a_transparent_colour_of_a_palette_is_white(kind):
    image = Image.fromarray(made.levels()).quantize(8)
    index = np.asarray(image)
    palette = np.array(image.getpalette()[:24]).reshape(8, 3)
    read = rows(decode(made.encoded(image, kind, transparency=3), 3))
    assert (read[index == 3] == 255).all() and np.array_equal(
        read[index != 3], palette[index[index != 3]]
    )


@pytest.mark.parametrize("kind", ["RGB", "L"])
def test_a_colour_that_stands_for_transparent_is_white(kind):
    pixels = made.levels(bands=3 if kind == "RGB" else 1) // 2
    key = tuple(int(level) for level in pixels[0, 0]) if kind == "RGB" else int(pixels[0, 0])
    read = rows(decode(made.encoded(pixels, "png", transparency=key), 3))
    same = (pixels == key).all(-1) if kind == "RGB" else pixels == key
    assert (read[same] == 255).all()
    assert np.array_equal(
        read[~same], pixels[~same] if kind == "RGB" else pixels[~same][:, None].repeat(3, 1)
    )
