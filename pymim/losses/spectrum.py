"""Losses over frequencies instead of patches (MFM, Xie et al. 2023)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pymim.checks import positive
from pymim.contracts import Grid
from pymim.layers.patch import unpatchify

if TYPE_CHECKING:
    from jaxtyping import Float

MEANS = ("image", "batch")


class Spectrum:
    """Give |F(prediction) - F(target)|^gamma of each frequency that the mask removed [B F],
    averaged over channels and frames.

    F is the orthonormal transform of the whole picture, put together from its patches. It is
    linear, so one transform of the difference is enough. A real picture's spectrum has each
    frequency twice, except those that are their own mirror image: half of it is computed, and
    weighted by 2. Kept frequencies have weight 0. Weights make the mean over [B F] the mean over
    removed frequencies.

    Its target is `targets.Whole`, which tells it how to put patches together and what the mask
    drew.

    Args:
        gamma: exponent; 1 in the paper's experiments.
        mean: average the removed frequencies of each "image", then images; or of the "batch", as
            released. A disc has so few frequencies inside that images without them then hardly
            count.

    Raises:
        ValueError: an argument is out of range; when called, some patches are missing.
    """

    whole = True  # one number per frequency, not per patch

    def __init__(self, gamma: float = 1.0, mean: str = "image"):
        positive(self, gamma=gamma)
        if mean not in MEANS:
            raise ValueError(
                f"Spectrum: mean: expected one of {', '.join(MEANS)}, got {mean!r}; "
                "name one of them"
            )
        self.gamma, self.mean = gamma, mean

    @property
    def over_batch(self) -> str:
        return "removed frequencies are averaged over {}" if self.mean == "batch" else ""

    def __call__(
        self,
        prediction: Float[Tensor, "B N P"],
        target: Float[Tensor, "B N P"],
        grid: Grid,
        patch: tuple[int, ...],
        extra: Any = None,
    ) -> Float[Tensor, "B F"]:
        if prediction.shape[1] != math.prod(grid):
            raise ValueError(
                f"Spectrum: prediction: expected all {math.prod(grid)} patches, got "
                f"{prediction.shape[1]}; set the objective's on = 'all'"
            )
        picture = unpatchify(prediction.float() - target.float(), grid, patch)
        spectrum = torch.view_as_real(torch.fft.rfft2(picture, norm="ortho"))
        distances = (spectrum.square().sum(-1) + 1e-12).sqrt()  # as released: finite gradient at 0
        losses = distances.pow(self.gamma).mean(tuple(range(1, distances.ndim - 2)))
        return (losses * self._weights(losses, picture.shape[-1], extra)).flatten(1)

    def _weights(
        self, losses: Float[Tensor, "B H K"], columns: int, extra: Any
    ) -> Float[Tensor, "B H K"]:
        """Count each removed frequency as often as the whole spectrum has it, with a mean of 1."""
        times = torch.full_like(losses[:1], 2.0)
        times[..., 0] = 1
        if columns % 2 == 0:
            times[..., -1] = 1
        if extra is not None:
            times = times * ~extra.kept(losses.shape[1], columns)
        total = times.mean((1, 2), keepdim=True) if self.mean == "image" else times.mean()
        return times / total.clamp_min(torch.finfo(times.dtype).tiny)
