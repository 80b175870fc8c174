"""Cuts a rectangle out of each picture and gives it a size, as Pillow does: bicubic, and smoothed where it shrinks.

Pictures of one size go through two small matrix products per picture, all at once; others one by one. Channels that
hold a map of classes or of parts take the nearest pixel, as a mean of two numbers of classes is no class.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import interpolate

if TYPE_CHECKING:
    from jaxtyping import Float, Int

A = -0.5  # Pillow's and torch's bicubic kernel (Keys 1981)


def resample(
    images: Tensor | list[Tensor], box: Int[Tensor, "B 4"], size: tuple[int, int], nearest: Sequence[int] = ()
) -> Float[Tensor, "B ..."]:
    """Rectangles (top, left, height, width) of pictures [C H W] or clips [C T H W] as float32 of `size`, on [0, 1]
    where they are uint8, in their own range otherwise. Channels `nearest` take the nearest pixel."""
    if isinstance(images, Tensor):
        made = _together(images, box, size)
    else:
        made = torch.stack([_alone(image, b, size) for image, b in zip(images, box.tolist(), strict=True)])
    if nearest:
        chosen = list(nearest)
        pieces = [nearest_pixels(image[chosen], b, size) for image, b in zip(images, box, strict=True)]
        made[:, chosen] = torch.stack(pieces)
    return made


def nearest_pixels(
    image: Float[Tensor, "*C H W"], box: Int[Tensor, " 4"], size: tuple[int, int]
) -> Float[Tensor, "*C h w"]:
    """The pixel of the rectangle under the middle of each output pixel, float32, on [0, 1] where it is uint8."""
    top, left, height, width = box.tolist()
    rows, columns = (
        ((torch.arange(n) + 0.5) * (abs(x) / n)).long() for n, x in zip(size, (height, width), strict=True)
    )
    columns = columns if width > 0 else columns.flip(0)
    piece = image[..., (top + rows)[:, None], left + columns].float()
    return piece / 255 if image.dtype == torch.uint8 else piece


def separable(images: Tensor, rows: Float[Tensor, "B h H"], columns: Float[Tensor, "B w W"]) -> Tensor:
    """rows @ image @ columns^T for every channel and frame of each image [B ... H W]."""
    b, *between, height, width = images.shape
    planes = math.prod(between)
    stacked = images.reshape(b, planes * height, width) @ columns.mT
    turned = stacked.view(b, planes, height, columns.shape[1])
    return (rows[:, None] @ turned).view(b, *between, rows.shape[1], columns.shape[1])


def weights(start: Tensor, extent: Tensor, length: int, size: int) -> Float[Tensor, "B size length"]:
    """Each of `size` output pixels as a mean of the pixels start to start + extent [B] of `length`; where
    extent < 0 the output is mirrored."""
    centre = (torch.arange(size) + 0.5) * (extent / size)[:, None]
    scale = (extent.abs() / size).clamp_min(1)[:, None, None]
    centre = torch.where(extent[:, None] < 0, centre - extent[:, None], centre) + start[:, None]
    pixel = torch.arange(length)
    inside = (pixel >= start[:, None]) & (pixel < (start + extent.abs())[:, None])
    kernel = _cubic((pixel + 0.5 - centre[:, :, None]) / scale) * inside[:, None]
    return kernel / kernel.sum(2, keepdim=True)


def _cubic(x: Tensor) -> Tensor:
    x = x.abs()
    near = ((A + 2) * x - (A + 3)) * x * x + 1
    far = ((x - 5) * x + 8) * x * A - 4 * A
    return torch.where(x <= 1, near, torch.where(x < 2, far, 0.0))


def _together(images: Tensor, box: Tensor, size: tuple[int, int]) -> Tensor:
    top, left, height, width = box.float().unbind(1)
    rows = weights(top, height, images.shape[-2], size[0])
    columns = weights(left, width, images.shape[-1], size[1])
    if images.dtype != torch.uint8:
        return separable(images.float(), rows, columns)
    return separable(images.float(), rows, columns).clamp_(0, 255).div_(255)


def _alone(image: Tensor, box: list[int], size: tuple[int, int]) -> Tensor:
    top, left, height, width = box
    piece = image[..., top : top + height, left : left + abs(width)]
    frames = piece if piece.ndim == 3 else piece.transpose(0, 1)
    resized = interpolate(
        frames.reshape(-1, *frames.shape[-3:]), size, mode="bicubic", antialias=True, align_corners=False
    )
    resized = resized[0] if piece.ndim == 3 else resized.transpose(0, 1)
    resized = resized.flip(-1) if width < 0 else resized
    return resized.float().div_(255) if image.dtype == torch.uint8 else resized
