"""The tokens of a frozen image encoder on a clip's frames (SIGMA, Salehi et al. 2024)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from pymim.contracts import Asked, Encoder, Target
from pymim.encoders.copy import Copy
from pymim.layers.gather import gather

if TYPE_CHECKING:
    from jaxtyping import Float

EPSILON = 1e-6


class Frames(Target):
    """Give an image encoder's patch tokens of the first frame of each tube [B M D], float32.

    The order is (time, row, column). If the teacher has another number of patches per frame than
    the encoder, tokens are resampled bilinearly. Then each channel is standardised over all tokens
    of the clip, hidden ones too, as released (a layer norm would standardise each token over its
    channels).

    Args:
        encoder: an encoder of clips.
        teacher: constructor, called with the encoder: `encoders.Frozen`, with an encoder of images
            as `model`.
        standardise: give (x - mean) / (deviation + 1e-6), unbiased, of each channel and clip.

    Raises:
        ValueError: the encoder is not of clips, or the teacher not of images.
    """

    def __init__(
        self, encoder: Encoder, teacher: Callable[[Encoder], Copy], standardise: bool = True
    ):
        super().__init__()
        self.teacher, self.standardise = teacher(encoder), standardise
        seen: Encoder = self.teacher.module  # type: ignore[assignment]
        if (len(encoder.base), len(seen.base)) != (3, 2):
            raise ValueError(
                "Frames: teacher: expected an encoder of images, and the method's of clips, got "
                f"grids {seen.base} and {encoder.base}; set encoders.Frozen.model, or use "
                "targets.Tokens"
            )
        self.width, self._seen = seen.width, seen.grid
        self._tube, self._grid = encoder.patch[0], encoder.grid

    @torch.no_grad()
    def forward(self, asked: Asked) -> Float[Tensor, "B M D"]:
        view = asked.view
        frames = view[:, :, :: self._tube].transpose(1, 2).flatten(0, 1)
        tokens = self._resampled(
            self.teacher(frames).tokens.float(), self._seen(frames.shape), self._grid(view.shape)
        )
        tokens = tokens.reshape(len(view), -1, self.width)
        if self.standardise:
            deviation, mean = torch.std_mean(tokens, 1, keepdim=True)
            tokens = (tokens - mean) / (deviation + EPSILON)
        return tokens if asked.ids is None else gather(tokens, asked.ids)

    @staticmethod
    def _resampled(tokens: Tensor, have: tuple[int, ...], want: tuple[int, ...]) -> Tensor:
        if have == want[1:]:
            return tokens
        maps = tokens.mT.unflatten(2, have)
        return interpolate(maps, want[1:], mode="bilinear", align_corners=False).flatten(2).mT
