"""Fill a rectangle of each picture with noise (Zhong et al. 2020)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pymim import philox
from pymim.checks import ascending, positive, share
from pymim.views.crop import TRIES
from pymim.views.normalise import Normalise, Statistics

if TYPE_CHECKING:
    from jaxtyping import Int

FILLS = ("noise", "zero")


class Erasing:
    """Fill a rectangle: area uniform in `area` times the picture's, aspect log-uniform in `ratio`.

    The first of ten draws that is smaller than the picture is taken, else nothing is filled.

    Args:
        p: probability. ratio: height over width.
        fill: "noise", a number for every pixel and channel, standard normal once `statistics` have
            normalised the picture; or "zero", which is then the mean.
        statistics: those of the view.
        area: smallest and largest share of the picture's area.

    Every frame of a clip loses the same rectangle, and gets its own noise. Make it the last change
    of a view.
    """

    def __init__(
        self,
        p: float = 0.25,
        area: tuple[float, float] = (0.02, 1 / 3),
        ratio: tuple[float, float] = (0.3, 1 / 0.3),
        fill: str = "noise",
        statistics: Statistics = "imagenet",
    ):
        share(self, p=p)
        ascending(self, share, "above 0, to 1", area=area)
        ascending(self, positive, ratio=ratio)
        if fill not in FILLS:
            raise ValueError(
                f"Erasing: fill: expected one of {', '.join(FILLS)}, got {fill!r}; choose one of "
                "them"
            )
        self.p, self.area = p, area
        self.ratio, self.fill = ratio, fill
        self.normalise = Normalise(statistics)

    def __call__(self, images: Tensor, name: philox.Name, first: int) -> Tensor:
        chance = philox.uniforms(name, 1, first)[:, 0, 0]
        boxes = self._boxes(name, first + 1, images.shape[-2], images.shape[-1])
        for row in np.flatnonzero((chance < self.p) & (boxes[:, 2] > 0)).tolist():
            (top, left), (height, width) = boxes[row].reshape(2, 2).tolist()
            hole = images[row, ..., top : top + height, left : left + width]
            filling = (
                self._noise(hole.shape, name, row)
                if self.fill == "noise"
                else torch.zeros(hole.shape)
            )
            hole.copy_(self.normalise.undo(filling[None])[0])
        return images

    def _boxes(
        self, name: philox.Name, first: int, height: int, width: int
    ) -> Int[np.ndarray, "B 4"]:
        """Draw top, left, height and width; zeros if no draw fits."""
        random = philox.uniforms(name, TRIES, first).astype(np.float64)
        area = height * width * (self.area[0] + random[..., 0] * (self.area[1] - self.area[0]))
        low, high = (math.log(bound) for bound in self.ratio)
        aspect = np.exp(low + random[..., 1] * (high - low))
        h, w = np.rint(np.sqrt(area * aspect)), np.rint(np.sqrt(area / aspect))
        fits = (h > 0) & (w > 0) & (h < height) & (w < width)
        top, left = (
            np.floor(random[..., 2] * (height - h + 1)),
            np.floor(random[..., 3] * (width - w + 1)),
        )
        boxes = np.stack((top, left, h, w), axis=-1) * fits[..., None]
        return np.take_along_axis(boxes, fits.argmax(1)[:, None, None], axis=1)[:, 0].astype(
            np.int64
        )

    def _noise(self, shape: torch.Size, name: philox.Name, row: int) -> Tensor:
        """Draw standard normal numbers of picture `row` from uniform ones (Box & Muller 1958)."""
        step = np.asarray(name.step)
        mine = philox.Name(
            philox.key(name.seed, "erasing"),
            step if step.ndim == 0 else step[row : row + 1],
            np.asarray(name.index)[row : row + 1],
            name.view,
        )
        count = shape.numel()
        random = philox.uniforms(mine, -(-count // 4)).reshape(-1, 2).astype(np.float64)
        radius, angle = np.sqrt(-2 * np.log1p(-random[:, 0])), 2 * np.pi * random[:, 1]
        normal = np.concatenate((radius * np.cos(angle), radius * np.sin(angle)))[:count]
        return torch.from_numpy(normal.astype(np.float32)).view(shape)
