"""Histograms of oriented gradients (HOG) as the target (MaskFeat, Wei et al. 2022; LocalMIM, Wang
et al. 2023).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from pymim.checks import finite, whole
from pymim.contracts import Asked, Encoder, Grid, Made, Mask, Target
from pymim.errors import ConfigError
from pymim.layers.gather import gather

if TYPE_CHECKING:
    from jaxtyping import Float

CHOICES = {
    "kernel": ("sobel", "central"),
    "zero": ("down", "across"),
    "normalise": ("length", "standard", "none"),
}
# A cell whose histogram is shorter is flat. Rounding gives up to 1e-6, one 8-bit step 1e-2.
FAINT = 1e-4


class Gradients(Target):
    """Describe each cell and channel by a histogram of gradient directions, normalised over its
    bins.

    A bin is the mean magnitude of the gradients within one of `bins` equal parts of half a turn, by
    hard assignment, with reflected borders. A patch gives its cells row by row, for each cell the
    channels, for each channel the bins: T = cells^2 C bins, float32 [B M T]. Views stay normalised.
    A flat cell gives zeros.

    Unlike the released code, differences are taken before smoothing. So they are exactly 0 where a
    picture is constant; rounding errors there would become a histogram of their own after
    normalisation.

    Args:
        encoder: the method's encoder; gives patch size and channels.
        cells: cells along a side of a patch: 1, 2, 4. Or 1/2, 1/4: a cell is 2 or 4 patches wide.
            Then the values are those of all cells [B N cells^2 C bins], for `predictors.Coarser`,
            and a cell's weight is the share of its patches that are predicted.
        bins: directions K.
        kernel: "sobel", smoothed across by 1, 2, 1; or "central", the difference of the two
            neighbours (DMJD, Ma et al. 2023).
        zero: direction of angle 0: "down", so the angle is atan2(across, down); or "across" (DMJD).
        normalise: over the bins of a cell and channel: to unit "length"; to mean 0 and deviation 1,
            "standard" (DMJD), with 1e-6 added to the variance; or "none".
        frame: the frame of a clip's patch to describe.

    Raises:
        ValueError: a choice is unknown, or cells do not divide the patch; when called, ConfigError
            if cells do not divide the view, or wide cells meet a mask with weights.
    """

    def __init__(
        self,
        encoder: Encoder,
        cells: float = 2,
        bins: int = 9,
        kernel: str = "sobel",
        zero: str = "down",
        normalise: str = "length",
        frame: int = 0,
    ):
        super().__init__()
        whole(self, 1, bins=bins)
        whole(self, 0, frame=frame)
        finite(self, cells=cells)
        for name, value in (("kernel", kernel), ("zero", zero), ("normalise", normalise)):
            if value not in CHOICES[name]:
                known = ", ".join(CHOICES[name])
                raise ValueError(
                    f"Gradients: {name}: expected one of {known}, got {value!r}; name one of them"
                )
        self.fine, self.coarse = _factors(cells)
        self.tubelet, sides = (
            (encoder.patch[0] if len(encoder.patch) == 3 else 1),
            encoder.patch[-2:],
        )
        if any(side % self.fine for side in sides):
            raise ValueError(
                f"Gradients: cells: expected a divisor of the patch's sides {sides}, got {cells}; "
                "change cells, or the patch"
            )
        if not 0 <= frame < self.tubelet:
            raise ValueError(
                f"Gradients: frame: expected 0 to {self.tubelet - 1}, as a patch has "
                f"{self.tubelet} frames, got {frame}; name one of them"
            )
        self.cell = (sides[0] * self.coarse // self.fine, sides[1] * self.coarse // self.fine)
        self.bins, self.kernel = bins, kernel
        self.zero = zero
        self.normalise, self.frame = normalise, frame
        self.width = self.fine**2 * encoder.channels * bins

    @torch.no_grad()
    def forward(self, asked: Asked) -> Float[Tensor, "B M T"] | Made:
        cells = self.histograms(self._frames(asked.view))
        # Rows and columns of patches (or of wide cells), then of the cells within each.
        cells = cells.unflatten(3, (-1, self.fine)).unflatten(2, (-1, self.fine))
        values = cells.permute(0, 1, 2, 4, 3, 5, 6, 7).flatten(4).flatten(1, 3)
        if self.coarse == 1:
            return values if asked.ids is None else gather(values, asked.ids)
        frames, rows = cells.shape[1], cells.shape[2]
        columns = cells.shape[4]
        grid = (frames, rows * self.coarse, columns * self.coarse)
        return Made(values, weight=None if asked.mask is None else self._shares(asked.mask, grid))

    def histograms(self, images: Float[Tensor, "B C F H W"]) -> Float[Tensor, "B F R Q C K"]:
        """Give the histograms of R x Q cells of F frames: C channels, K bins."""
        height, width = images.shape[-2:]
        if height % self.cell[0] or width % self.cell[1]:
            raise ConfigError(
                f"Gradients: view: expected sides divisible by a cell's sides {self.cell}, got "
                f"{(height, width)}; change the size of the views, or cells"
            )
        across, down = gradients(images.transpose(1, 2).flatten(0, 1).float(), self.kernel)
        angle = torch.atan2(across, down) if self.zero == "down" else torch.atan2(down, across)
        part = self._cells((angle / math.pi * self.bins).floor().remainder(self.bins))
        size = self._cells(torch.hypot(across, down))
        found = torch.stack([(size * (part == number)).mean(0) for number in range(self.bins)], -1)
        described: Tensor = self._normalised(found).movedim(1, 3).unflatten(0, (len(images), -1))
        return described

    def _frames(self, view: Tensor) -> Tensor:
        return view[:, :, None] if view.ndim == 4 else view[:, :, self.frame :: self.tubelet]

    def _cells(self, pixels: Tensor) -> Tensor:
        """Move the pixels of each cell of [B C H W] to the front, where sums are fast
        [P B C R Q].
        """
        cells: Tensor = pixels.unflatten(3, (-1, self.cell[1])).unflatten(2, (-1, self.cell[0]))
        return cells.permute(3, 5, 0, 1, 2, 4).flatten(0, 1)

    def _normalised(self, found: Tensor) -> Tensor:
        if self.normalise == "none":
            return found
        if self.normalise == "length":
            return F.normalize(found, dim=-1, eps=FAINT)
        return F.layer_norm(found, found.shape[-1:], eps=1e-6)

    def _shares(self, mask: Mask, grid: Grid) -> Float[Tensor, "B M"]:
        if mask.weight is not None:
            raise ConfigError(
                "Gradients: cells: expected 1 or more, as the mask has weights of patches, got "
                f"1/{self.coarse}; set cells = 1, or use a mask without weights"
            )
        asked = mask.predicted.new_zeros(len(mask.predicted), math.prod(grid), dtype=torch.float32)
        asked = asked.scatter_(1, mask.predicted, 1.0).unflatten(1, grid)
        wide: Tensor = asked.unflatten(3, (-1, self.coarse)).unflatten(2, (-1, self.coarse))
        return wide.mean((3, 5)).flatten(1)


def gradients(images: Float[Tensor, "B C H W"], kernel: str) -> tuple[Tensor, Tensor]:
    """Give the change across and down at each pixel. Borders are reflected, so changes across them
    are 0.
    """
    padded = F.pad(images, (1, 1, 1, 1), mode="reflect")
    across = padded[..., 2:] - padded[..., :-2]
    down = padded[..., 2:, :] - padded[..., :-2, :]
    if kernel == "central":
        return across[..., 1:-1, :], down[..., 1:-1]
    return (
        across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :],
        down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:],
    )


def _factors(cells: float) -> tuple[int, int]:
    """Give cells per side of a patch, and patches per side of a cell."""
    if cells >= 1:
        fine, coarse = round(cells), 1
    else:
        fine, coarse = 1, round(1 / cells) if cells > 0 else 0
    if not coarse or not math.isclose(fine / coarse, cells):
        raise ValueError(
            f"Gradients: cells: expected a whole number n, or 1/n, got {cells}; set 4, 2, 1 or 1/2"
        )
    return fine, coarse
