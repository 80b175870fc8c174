"""Kernels of resampling, through the views that have them, against Pillow and torch."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import interpolate

from pymim import views
from pymim.contracts import Draw
from pymim.views.resample import resample

BOXES = [(0, 0, 40, 48), (3, 5, 30, 20), (10, 2, 7, 11), (5, 40, 3, 8)]


def pixels(*shape, dtype=torch.uint8):
    made = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0))
    return made.to(dtype) if dtype == torch.uint8 else made.to(dtype) / 255


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("size", [(16, 16), (5, 60), (64, 50)])
@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("clip", [False, True])
def test_aliased_is_torch_s_own_interpolation(size, together, dtype, clip):
    image = pixels(3, *([2] if clip else []), 40, 48, dtype=dtype)
    stack = image.expand(len(BOXES), *image.shape) if together else [image] * len(BOXES)
    found = resample(stack, torch.tensor(BOXES), size, kernel="bilinear-aliased")
    for (top, left, h, w), ours in zip(BOXES, found, strict=True):
        piece = image[..., top : top + h, left : left + w].float() / (
            255 if dtype == torch.uint8 else 1
        )
        planes = piece.flatten(0, -3)[None]
        theirs = interpolate(planes, size, mode="bilinear", align_corners=False)[0].view(ours.shape)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_aliased_differs_when_shrinking_and_agrees_when_growing():
    image, box = pixels(1, 3, 40, 48), torch.tensor([(0, 0, 40, 48)])
    for size, same in (((8, 8), False), ((80, 96), True)):
        one, other = (
            resample(image, box, size, kernel=kernel) for kernel in ("bilinear", "bilinear-aliased")
        )
        assert torch.allclose(one, other, atol=1e-5) == same


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("kernel", ["bicubic", "bilinear"])
def test_the_centre_for_evaluation_is_pillow_s(kernel, together):
    """Scaled to 16 x 19, of which the middle 16 x 16 is cut out."""
    image = pixels(1, 3, 40, 48) // 2 + 64  # Pillow clips between its two passes
    found = views.Center(16, statistics="none", kernel=kernel)(image if together else list(image))
    whole = Image.fromarray(image[0].permute(1, 2, 0).numpy())
    theirs = np.array(whole.resize((19, 16), Image.Resampling[kernel.upper()]).crop((2, 0, 18, 16)))
    assert np.abs(found[0].permute(1, 2, 0).numpy() * 255 - theirs).max() <= 2.01


@pytest.mark.parametrize("kernel", ["bilinear", "bilinear-aliased"])
def test_a_view_resamples_by_its_kernel(kernel):
    image, draw = pixels(1, 3, 40, 48), Draw(0, 0, 0)
    view = views.Pretrain(8, statistics="none", flip=0.0, kernel=kernel)
    top, left, h, w = view.drawn(image, torch.arange(1), draw)["box"][0].tolist()
    piece = image[..., top : top + h, left : left + w].float() / 255
    smooth = kernel == "bilinear"
    theirs = interpolate(piece, (8, 8), mode="bilinear", align_corners=False, antialias=smooth)
    torch.testing.assert_close(view(image, torch.arange(1), draw), theirs, rtol=0, atol=1e-5)


@pytest.mark.parametrize("make", [views.Pretrain, views.Center])
def test_an_unknown_kernel_is_refused(make):
    with pytest.raises(
        ValueError,
        match="kernel: expected one of bicubic, bilinear, bilinear-aliased, got 'lanczos'",
    ):
        make(16, kernel="lanczos")
