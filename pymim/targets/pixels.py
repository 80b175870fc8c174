"""Pixels as the target, raw or normalised (MAE, He et al. 2022; VideoMAE, Tong et al. 2022)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pymim.contracts import Asked, Encoder, Target
from pymim.layers.gather import gather
from pymim.layers.patch import patchify
from pymim.views.normalise import Normalise, Statistics

if TYPE_CHECKING:
    from jaxtyping import Float, Int

NORMALISATIONS = ("none", "patch", "channel")


class Pixels(Target):
    """Give the pixels of a patch as one vector [B M T], row by row with channels last, in float32.

    Args:
        encoder: the method's encoder; gives patch size and channels.
        normalise: "none"; "patch", (x - mean) / sqrt(variance + 1e-6) over all values of a patch
            (MAE); or "channel", (x - mean) / (deviation + 1e-6) over each channel of a patch
            (VideoMAE). Both unbiased.
        statistics: mean and deviation that the views were normalised with. If given, pixels are
            first mapped back (VideoMAE).
        every_frame: predict every frame of a clip; otherwise as many frames as the grid has.
        spread: take those frames evenly from the first to the last (MAE-ST, Feichtenhofer et al.
            2022: 0 and 3 of 4 frames, where a patch has 2); otherwise take the first of each patch
            (MaskFeat, Wei et al. 2022: 0 and 2).

    Raises:
        ValueError: the normalisation is unknown, or spread = False with every frame.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        encoder: Encoder,
        normalise: str = "patch",
        statistics: Statistics = "none",
        every_frame: bool = True,
        spread: bool = True,
    ):
        super().__init__()
        if normalise not in NORMALISATIONS:
            choices = ", ".join(NORMALISATIONS)
            raise ValueError(
                f"Pixels: normalise: expected one of {choices}, got {normalise!r}; name one of them"
            )
        if every_frame and not spread:
            raise ValueError(
                "Pixels: every_frame: expected False with spread = False, got True; "
                "set every_frame = False"
            )
        self.normalise, self.channels = normalise, encoder.channels
        self.thinned, self.spread = 1 if every_frame else encoder.patch[0], spread
        self.patch = encoder.patch if every_frame else (1, *encoder.patch[1:])
        self.width = self.channels * math.prod(self.patch)
        measured = Normalise(statistics)
        self.register_buffer("mean", measured.mean, persistent=False)
        self.register_buffer("std", measured.std, persistent=False)

    @torch.no_grad()
    def forward(self, asked: Asked) -> Float[Tensor, "B M T"]:
        pixels = self._pixels(asked.view, asked.ids)
        centre, scale = self._statistics(pixels)
        return ((pixels - centre) / scale).flatten(2)

    @torch.no_grad()
    def to_pixels(
        self,
        values: Float[Tensor, "B M T"],
        view: Float[Tensor, "B C *S"],
        ids: Int[Tensor, "B M"] | None,
    ) -> Float[Tensor, "B M T"]:
        """Turn targets or predictions into pixels of the view, by the patches' own statistics.

        `layers.patch.unpatchify` puts them together.
        """
        centre, scale = self._statistics(self._pixels(view, ids))
        pixels: Tensor = values.float().unflatten(2, (-1, self.channels)) * scale + centre
        return ((pixels - self.mean) / self.std).flatten(2)

    def shown(self, view: Float[Tensor, "B C *S"]) -> Float[Tensor, "B C *R"]:
        """Give the frames of a view that are predicted."""
        if self.thinned == 1:
            return view
        if not self.spread:
            return view[:, :, :: self.thinned]
        last, count = view.shape[2] - 1, view.shape[2] // self.thinned
        return view[:, :, torch.arange(count) * last // max(1, count - 1)]

    def _pixels(self, view: Tensor, ids: Tensor | None) -> Tensor:
        patches = patchify(self.shown(view).float(), self.patch, last=True)
        if ids is not None:
            patches = gather(patches, ids)
        pixels: Tensor = patches.unflatten(2, (-1, self.channels)) * self.std + self.mean
        return pixels

    def _statistics(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Give the centre and the scale of patches [B M P C]."""
        if self.normalise == "none":
            return pixels.new_zeros(()), pixels.new_ones(())
        axes = (2, 3) if self.normalise == "patch" else (2,)
        variance, mean = torch.var_mean(pixels, axes, keepdim=True)
        return mean, (
            variance + 1e-6
        ).sqrt() if self.normalise == "patch" else variance.sqrt() + 1e-6
