"""Change the values of pictures [b C ...] on [0, 1], each picture by its own amount [b].

The operations are those of Pillow on 8 bits. Here values are floats, rounded only where an
operation counts levels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from pymim.views.change import luminance

COLOURED = ("colour", "contrast")  # the operations that need three channels


def autocontrast(images: Tensor) -> Tensor:
    """Stretch each channel to [0, 1]; a constant channel stays."""
    flat = images.flatten(2)
    least, most = (like(value, images) for value in (flat.amin(2), flat.amax(2)))
    return torch.where(most > least, (images - least) / (most - least).clamp_min(1e-6), images)


def equalise(images: Tensor) -> Tensor:
    """Equalise each channel's histogram of 256 levels."""
    level = (images * 255).round().long().clamp(0, 255).flatten(2)
    count = torch.zeros(*level.shape[:2], 256, dtype=torch.int64).scatter_add_(
        2, level, torch.ones_like(level)
    )
    last = count.gather(2, level.amax(2, keepdim=True))
    step = (count.sum(2, keepdim=True) - last) // 255
    table = (step // 2 + count.cumsum(2) - count) // step.clamp_min(1)
    table = torch.where(step > 0, table.clamp_max(255), torch.arange(256))
    return table.gather(2, level).view_as(images) / 255


def invert(images: Tensor) -> Tensor:
    """Return the negative."""
    return 1 - images


def solarise(images: Tensor, threshold: Tensor) -> Tensor:
    """Replace values of a threshold and above by their negatives."""
    return torch.where(images >= like(threshold, images), 1 - images, images)


def brighten_dark(images: Tensor, added: Tensor) -> Tensor:
    """Add to the values of the lower half, up to 1."""
    return torch.where(images * 255 < 127.5, (images + like(added, images)).clamp_max(1), images)


def posterise(images: Tensor, bits: Tensor) -> Tensor:
    """Keep `bits` of 8 bits."""
    step = like(2 ** (8 - bits), images)
    return ((images * 255).round() / step).floor() * step / 255


def colour(images: Tensor, factor: Tensor, asking: str) -> Tensor:
    """Blend with the grey picture."""
    return torch.lerp(luminance(images, asking).expand_as(images), images, like(factor, images))


def contrast(images: Tensor, factor: Tensor, asking: str) -> Tensor:
    """Blend with the mean grey value."""
    mean = luminance(images, asking).flatten(1).mean(1)
    return torch.lerp(like(mean, images).expand_as(images), images, like(factor, images))


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with black."""
    return images * like(factor, images)


def sharpness(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the smoothed picture; the border is not smoothed."""
    kernel = torch.ones(1, 1, 3, 3)
    kernel[..., 1, 1] = 5
    planes = images.reshape(-1, 1, *images.shape[-2:])
    smooth = planes.clone()
    if min(images.shape[-2:]) > 2:
        smooth[..., 1:-1, 1:-1] = conv2d(planes, kernel / 13)
    return torch.lerp(smooth.view_as(images), images, like(factor, images))


def like(values: Tensor, images: Tensor) -> Tensor:
    """Reshape values [b] or [b C] to broadcast over pictures."""
    return values.view(*values.shape, *(1,) * (images.ndim - values.ndim))
