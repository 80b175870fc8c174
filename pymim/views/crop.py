"""Choose the rectangle of each picture that a view shows."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pymim import philox

if TYPE_CHECKING:
    from jaxtyping import Float32, Float64, Int

TRIES = 10
NEAR = 3  # a side that differs from the view's by fewer pixels becomes the view's
# Positions of a rectangle from the top and the left, in quarters of the free way: 0, 2 or 4 on both
# axes, or 1 or 3 on both.
PLACES = (*itertools.product((0, 2, 4), repeat=2), *itertools.product((1, 3), repeat=2))


def shapes(images: Tensor | list[Tensor]) -> Int[Tensor, "B 2"]:
    """Return the height and width of each picture."""
    if isinstance(images, Tensor):
        return torch.tensor(images.shape[-2:]).expand(len(images), 2)
    return torch.tensor([image.shape[-2:] for image in images])


def random_boxes(
    shape: Int[Tensor, "B 2"],
    name: philox.Name,
    scale: tuple[float, float],
    ratio: tuple[float, float],
) -> Int[Tensor, "B 4"]:
    """Draw top, left, height, width of a random resized crop (Szegedy et al. 2015).

    The area is uniform in `scale` times the picture's, the aspect log-uniform in `ratio`. The first
    of ten draws that fits is taken, else the largest central rectangle.
    """
    height, width = (shape[:, axis, None].numpy().astype(np.float32) for axis in (0, 1))
    random = philox.uniforms(name, TRIES)
    area = height * width * (scale[0] + random[..., 0] * (scale[1] - scale[0]))
    aspect = np.exp(math.log(ratio[0]) + random[..., 1] * (math.log(ratio[1]) - math.log(ratio[0])))
    h, w = np.rint(np.sqrt(area / aspect)), np.rint(np.sqrt(area * aspect))
    fits = (h > 0) & (w > 0) & (h <= height) & (w <= width)
    top, left = (
        np.floor(r * (s - x + 1))
        for r, s, x in ((random[..., 2], height, h), (random[..., 3], width, w))
    )
    boxes = np.stack((top, left, h, w), axis=-1)
    chosen = np.take_along_axis(boxes, fits.argmax(1)[:, None, None], axis=1)[:, 0]
    return torch.from_numpy(
        np.where(np.any(fits, axis=1, keepdims=True), chosen, _central(height, width, ratio))
    ).long()


def _central(
    height: Float32[np.ndarray, "B 1"],
    width: Float32[np.ndarray, "B 1"],
    ratio: tuple[float, float],
) -> np.ndarray:
    """Return the largest central rectangle with an aspect in `ratio`."""
    aspect = np.clip(width / height, *ratio)
    h, w = np.minimum(height, np.rint(width / aspect)), np.minimum(width, np.rint(height * aspect))
    return np.concatenate(((height - h) // 2, (width - w) // 2, h, w), axis=1)


class Middle(NamedTuple):
    """Hold the size a picture is scaled to and where a crop begins: each rows, columns [B 2].

    Both are int64.
    """

    scaled: Tensor
    first: Tensor

    def boxes(self, shape: Int[Tensor, "B 2"], size: tuple[int, int]) -> Float64[Tensor, "B 4"]:
        """Return top, left, height, width of the crop in the original pictures, as fractions."""
        step = shape.double() / self.scaled
        return torch.cat((self.first * step, torch.tensor(size) * step), dim=1)


def middle(shape: Int[Tensor, "B 2"], size: tuple[int, int], share: float) -> Middle:
    """Scale a picture so that `size` covers `share` of its shorter side, and crop the middle.

    With 224 and 0.875 this is torchvision's Resize(256) and CenterCrop(224), with the same
    rounding. With 1, only the longer side is cut.
    """
    least = [math.floor(side / share + 1e-9) for side in size]
    height, width = shape.unbind(1)
    low = height * least[1] <= width * least[0]
    rows = torch.where(low, least[0], height * least[1] // width)
    columns = torch.where(low, width * least[0] // height, least[1])
    scaled = torch.stack((rows, columns), dim=1)
    return Middle(scaled, ((scaled - torch.tensor(size)) / 2).round().long())


def scaled_boxes(
    shape: Int[Tensor, "B 2"],
    name: philox.Name,
    size: tuple[int, int],
    scales: Sequence[float],
    distort: int,
) -> Int[Tensor, "B 4"]:
    """Draw top, left, height, width of a multi-scale crop (Wang et al. 2016).

    Sides are shares, from `scales`, of the picture's shorter side; height and width differ by at
    most `distort` places in `scales`. Positions are corners, middles of edges, the centre, and four
    quarters round it. A side within two pixels of `size` becomes `size`, if the picture is large
    enough.
    """
    extent = shape.numpy()
    random = philox.uniforms(name, 1)[:, 0]
    pairs = [
        (i, j) for i in range(len(scales)) for j in range(len(scales)) if abs(i - j) <= distort
    ]
    chosen = np.asarray(pairs)[(random[:, 0] * len(pairs)).astype(np.int64)]
    side = np.floor(extent.min(1, keepdims=True) * np.asarray(scales)[chosen]).astype(np.int64)
    side = np.minimum(np.where(np.abs(side - size) < NEAR, size, np.maximum(side, 1)), extent)
    place = np.asarray(PLACES)[(random[:, 1] * len(PLACES)).astype(np.int64)]
    start = (extent - side) // 4 * place
    return torch.from_numpy(np.concatenate((start, side), axis=1))
