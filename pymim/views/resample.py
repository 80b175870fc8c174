"""Cut a rectangle out of each picture and resize it, as Pillow does.

Kernels are bicubic or bilinear, with antialiasing, or "bilinear-aliased", torch's default, without
it. Pictures of one size go through two small matrix products each, all at once; others are resized
one by one. Channels that hold a map of classes or parts take the nearest pixel, since a mean of two
class numbers is no class.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from pymim.views.crop import Middle, shapes

if TYPE_CHECKING:
    from jaxtyping import Float, Int, Num

EVEN = 1e-9  # part of a pixel: places on a border take the later pixel, whatever the rounding
A = -0.5  # Pillow's and torch's bicubic kernel (Keys 1981)


def resample(
    images: Tensor | list[Tensor],
    box: Int[Tensor, "B 4"],
    size: tuple[int, int],
    nearest: Sequence[int] = (),
    kernel: str = "bicubic",
) -> Float[Tensor, "B ..."]:
    """Resize the boxes (top, left, height, width) of pictures [C H W] or clips [C T H W] to `size`.

    Returns float32, on [0, 1] for uint8 pictures, else in their own range. A negative width
    mirrors. Channels `nearest` take the nearest pixel.
    """
    if isinstance(images, Tensor):
        made = _together(images, box, size, kernel)
    else:
        made = torch.stack(
            [_alone(image, b, size, kernel) for image, b in zip(images, box.tolist(), strict=True)]
        )
    return _with_nearest(made, images, box, nearest)


def resample_middle(
    images: Tensor | list[Tensor],
    place: Middle,
    size: tuple[int, int],
    nearest: Sequence[int] = (),
    kernel: str = "bicubic",
) -> Float[Tensor, "B ..."]:
    """Scale pictures to `place.scaled`, and cut out `size` at `place.first`.

    Unlike `resample`, pixels outside the cut still count in the pixels at its border.
    """
    boxes = place.boxes(shapes(images), size)
    if isinstance(images, Tensor):
        made = _together(images, boxes.float(), size, kernel, beyond=True)
    else:
        places = zip(images, place.scaled.tolist(), place.first.tolist(), strict=True)
        made = torch.stack(
            [
                _scaled(image, (rows, columns), first, size, kernel)
                for image, (rows, columns), first in places
            ]
        )
    return _with_nearest(made, images, boxes, nearest)


def nearest_pixels(
    image: Float[Tensor, "*C H W"], box: Num[Tensor, " 4"], size: tuple[int, int]
) -> Float[Tensor, "*C h w"]:
    """Return the pixel under the centre of each output pixel, float32, on [0, 1] for uint8."""
    corner, extent = box.view(2, 2).tolist()
    rows, columns = (
        (first + (torch.arange(n, dtype=torch.float64) + 0.5) * (abs(x) / n) + EVEN).long()
        for n, first, x in zip(size, corner, extent, strict=True)
    )
    columns = columns if extent[1] > 0 else columns.flip(0)
    piece = image[..., rows[:, None], columns].float()
    return piece / 255 if image.dtype == torch.uint8 else piece


def _with_nearest(
    made: Tensor, images: Tensor | list[Tensor], box: Tensor, nearest: Sequence[int]
) -> Tensor:
    """Replace the channels `nearest` by the nearest pixels."""
    if nearest:
        chosen, size = list(nearest), (made.shape[-2], made.shape[-1])
        pieces = [
            nearest_pixels(image[chosen], b, size) for image, b in zip(images, box, strict=True)
        ]
        made[:, chosen] = torch.stack(pieces)
    return made


def separable(
    images: Tensor, rows: Float[Tensor, "B h H"], columns: Float[Tensor, "B w W"]
) -> Tensor:
    """Compute rows @ image @ columns^T for every channel and frame of each image [B ... H W]."""
    height, width = images.shape[-2:]
    planes = math.prod(images.shape[1:-2])
    stacked = images.reshape(len(images), planes * height, width) @ columns.mT
    turned = stacked.view(len(images), planes, height, columns.shape[1])
    return (rows[:, None] @ turned).view(*images.shape[:-2], rows.shape[1], columns.shape[1])


def weights(
    start: Tensor,
    extent: Tensor,
    length: int,
    size: int,
    kernel: str = "bicubic",
    beyond: bool = False,
) -> Float[Tensor, "B size length"]:
    """Return weights of `length` input pixels for each of `size` output pixels.

    The input is the range start to start + extent [B], where a negative extent mirrors the output.
    beyond: pixels outside that range count too.
    """
    centre = (torch.arange(size) + 0.5) * (extent / size)[:, None]
    scale = (extent.abs() / size).clamp_min(1)[:, None, None] if kernel not in ALIASED else 1.0
    centre = torch.where(extent[:, None] < 0, centre - extent[:, None], centre) + start[:, None]
    pixel = torch.arange(length)
    inside = ((pixel >= start[:, None]) & (pixel < (start + extent.abs())[:, None])) | beyond
    weight = KERNELS[kernel]((pixel + 0.5 - centre[:, :, None]) / scale) * inside[:, None]
    return weight / weight.sum(2, keepdim=True)


def _cubic(x: Tensor) -> Tensor:
    x = x.abs()
    near = ((A + 2) * x - (A + 3)) * x * x + 1
    far = ((x - 5) * x + 8) * x * A - 4 * A
    return torch.where(x <= 1, near, torch.where(x < 2, far, 0.0))


def _linear(x: Tensor) -> Tensor:
    return (1 - x.abs()).clamp_min(0)


KERNELS: dict[str, Callable[[Tensor], Tensor]] = {
    "bicubic": _cubic,
    "bilinear": _linear,
    "bilinear-aliased": _linear,
}
ALIASED = {"bilinear-aliased": "bilinear"}  # kernels without antialiasing, and torch's names


def _together(
    images: Tensor, box: Tensor, size: tuple[int, int], kernel: str, beyond: bool = False
) -> Tensor:
    corner, extent = box.float().split(2, 1)
    rows, columns = (
        weights(corner[:, k], extent[:, k], images.shape[k - 2], size[k], kernel, beyond)
        for k in (0, 1)
    )
    if images.dtype != torch.uint8:
        return separable(images.float(), rows, columns)
    return separable(images.float(), rows, columns).clamp_(0, 255).div_(255)


def _alone(image: Tensor, box: list[int], size: tuple[int, int], kernel: str) -> Tensor:
    (top, left), (height, width) = box[:2], box[2:]
    resized = _resized(image[..., top : top + height, left : left + abs(width)], size, kernel)
    return _on_unit(resized.flip(-1) if width < 0 else resized)


def _scaled(
    image: Tensor, scaled: tuple[int, int], first: list[int], size: tuple[int, int], kernel: str
) -> Tensor:
    top, left = first
    return _on_unit(
        _resized(image, scaled, kernel)[..., top : top + size[0], left : left + size[1]]
    )


def _resized(image: Tensor, size: tuple[int, int], kernel: str) -> Tensor:
    """Resize a picture [C H W] or clip [C T H W], keeping its type; aliased kernels give [0, 1]."""
    frames = image if image.ndim == 3 else image.transpose(0, 1)
    frames = frames.reshape(-1, *frames.shape[-3:])
    if kernel in ALIASED:  # on [0, 1], as interpolation of uint8 would round
        resized = interpolate(_on_unit(frames), size, mode=ALIASED[kernel], align_corners=False)
    else:
        resized = interpolate(frames, size, mode=kernel, antialias=True, align_corners=False)
    return resized[0] if image.ndim == 3 else resized.transpose(0, 1)


def _on_unit(image: Tensor) -> Tensor:
    return image.float().div_(255) if image.dtype == torch.uint8 else image
