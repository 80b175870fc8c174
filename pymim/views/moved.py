"""Rotate, shear and translate pictures, each by its own matrix, as Pillow does.

A matrix [b 2 3] maps an output pixel to its place in the input: x and y from the centre, in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

METHODS = ("nearest", "bilinear", "bicubic")
SHARP = -1.0  # Pillow's bicubic kernel for moving pictures (Keys 1981); for resizing it is -0.5


def turned(angle: Tensor) -> Tensor:
    """Return the matrices of rotations by these angles [b], in radians."""
    return _matrix((angle.cos(), -angle.sin(), 0.0), (angle.sin(), angle.cos(), 0.0))


def sheared(amount: Tensor, axis: int, origin: float = 0.0) -> Tensor:
    """Return matrices that shift x (axis 0) by `amount` per row, or y (axis 1) per column.

    Rows or columns are counted from `origin` pixels before the centre, where nothing moves.
    """
    across, down = (amount, 0.0) if axis == 0 else (0.0, amount)
    unit = 1.0 + 0 * amount
    return _matrix((unit, across, origin * across), (down, unit, origin * down))


def shifted(pixels: Tensor, axis: int) -> Tensor:
    """Return matrices that shift x (axis 0) or y (axis 1)."""
    across, down = (pixels, 0.0) if axis == 0 else (0.0, pixels)
    return _matrix((1.0, 0.0, across), (0.0, 1.0, down))


def move(
    images: Tensor, matrix: Tensor, method: str = "nearest", fill: Tensor | float = 0.0
) -> Tensor:
    """Move pictures or clips [b C *T H W] by matrices [b 2 3].

    fill: a value, or one for each channel [C], for places outside the picture.
    """
    height, width = images.shape[-2:]
    planes = images.reshape(len(images), -1, height, width)
    if method == "nearest" and isinstance(fill, float) and fill == 0:
        size = matrix.new_tensor([width / 2, height / 2])
        scaled = torch.cat(
            [matrix[..., :2] * size / size[:, None], matrix[..., 2:] / size[:, None]], 2
        )
        grid = affine_grid(scaled, list(planes.shape), align_corners=False)
        return (
            grid_sample(planes.double(), grid, "nearest", align_corners=False)
            .float()
            .view_as(images)
        )
    x, y = _places(matrix, height, width)
    moved = _sampled(planes, x, y, method).view_as(images)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    inside = inside.view(len(images), *(1,) * (images.ndim - 3), height, width)
    filled = torch.as_tensor(fill, dtype=images.dtype).view(-1, *(1,) * (images.ndim - 2))
    return torch.where(inside, moved, filled)


def _places(matrix: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return x and y [b H W] in the input of the centre of each output pixel."""
    rows, columns = torch.meshgrid(
        *(torch.arange(side, dtype=matrix.dtype) + 0.5 - side / 2 for side in (height, width)),
        indexing="ij",
    )
    each = matrix[..., None, None]
    x, y = (
        each[:, axis, 0] * columns + each[:, axis, 1] * rows + each[:, axis, 2] for axis in (0, 1)
    )
    return x + width / 2, y + height / 2


def _sampled(planes: Tensor, x: Tensor, y: Tensor, method: str) -> Tensor:
    """Interpolate values [b P H W]; pixels at the border continue outside."""
    height, width = planes.shape[-2:]
    columns, across = _taps(x, method)
    rows, down = _taps(y, method)
    flat, total = planes.flatten(2), torch.zeros_like(planes)
    for row, weight in zip(rows, down, strict=True):
        for column, other in zip(columns, across, strict=True):
            index = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
            picked = flat.gather(
                2, index.flatten(1)[:, None].expand(-1, flat.shape[1], -1)
            ).view_as(planes)
            total += picked * (weight * other).to(planes.dtype)[:, None]
    return total.clamp_(0, 1) if method == "bicubic" else total


def _taps(place: Tensor, method: str) -> tuple[list[Tensor], list[Tensor]]:
    """Return the pixels along one axis that a place is interpolated from, and their weights."""
    if method == "nearest":
        return [place.floor().long()], [torch.ones_like(place)]
    first = (place - 0.5).floor()
    d = place - 0.5 - first
    if method == "bilinear":
        return [first.long(), first.long() + 1], [1 - d, d]
    weights = [_cubic(d + 1), _cubic(d), _cubic(1 - d), _cubic(2 - d)]
    return [first.long() + k for k in (-1, 0, 1, 2)], weights


def _cubic(x: Tensor) -> Tensor:
    """Return the kernel at distances 0 to 2."""
    near = ((SHARP + 2) * x - (SHARP + 3)) * x * x + 1
    far = ((x - 5) * x + 8) * x * SHARP - 4 * SHARP
    return torch.where(x <= 1, near, far)


def _matrix(*rows: Sequence[Tensor | float]) -> Tensor:
    amount = next(value for row in rows for value in row if isinstance(value, Tensor))
    filled = [
        [torch.as_tensor(value).to(amount).expand_as(amount) for value in row] for row in rows
    ]
    return torch.stack([torch.stack(row, -1) for row in filled], -2)
