"""Patches hidden uniformly at random (MAE, He et al. 2022; MAE-ST, Feichtenhofer et al. 2022)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import Tensor

from pymim.masks.mask import Draw, Grid, Mask
from pymim.ops import mask as ops

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Uniform:
    """Hides a share `ratio` of the patches, without replacement, each image for itself."""

    def __init__(self, ratio: float = 0.75):
        self.ratio = ratio

    def __call__(
        self, index: Int[Tensor, " B"], grid: Grid, draw: Draw, difficulty: Float[Tensor, "B N"] | None = None
    ) -> Mask:
        patches = math.prod(grid)
        visible, hidden, _ = ops.uniform(index, patches, int(patches * (1 - self.ratio)), **draw._asdict())
        return Mask(visible, hidden, hidden)
