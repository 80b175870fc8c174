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
    """The pixels of a patch, row by row with channels last, as one vector, in float32.

    Args:
        normalise: "none"; "patch", (x - mean) / sqrt(variance + 1e-6) over all values of a patch (MAE); or
            "channel", (x - mean) / (deviation + 1e-6) over each channel of a patch (VideoMAE). Both unbiased.
        statistics: those the views were normalised with. If given, pixels are mapped back with them first
            (VideoMAE).
        every_frame: whether each frame of a clip is predicted; if not, as many as the grid has.
        spread: whether those are spread evenly from the first frame to the last (MAE-ST, Feichtenhofer et al. 2022:
            0 and 3 of 4 frames, where a patch has 2), or are the first of each patch (MaskFeat, Wei et al. 2022: 0
            and 2).
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
            raise ValueError(f"Pixels: normalise: expected one of {choices}, got {normalise!r}; name one of them")
        if every_frame and not spread:
            raise ValueError("Pixels: spread: expected every_frame = False with spread = False, got True; set both")
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
        self, values: Float[Tensor, "B M T"], view: Float[Tensor, "B C *S"], ids: Int[Tensor, "B M"] | None
    ) -> Float[Tensor, "B M T"]:
        """Values as targets or predictions have them, to pixels as the view has them, by the patches' own
        statistics; to be put together by `layers.patch.unpatchify`."""
        centre, scale = self._statistics(self._pixels(view, ids))
        pixels: Tensor = values.float().unflatten(2, (-1, self.channels)) * scale + centre
        return ((pixels - self.mean) / self.std).flatten(2)

    def shown(self, view: Float[Tensor, "B C *S"]) -> Float[Tensor, "B C *R"]:
        """What of a view is to be predicted."""
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
        """What is taken off [B M P C] and what it is divided by."""
        if self.normalise == "none":
            return pixels.new_zeros(()), pixels.new_ones(())
        axes = (2, 3) if self.normalise == "patch" else (2,)
        variance, mean = torch.var_mean(pixels, axes, keepdim=True)
        return mean, (variance + 1e-6).sqrt() if self.normalise == "patch" else variance.sqrt() + 1e-6
