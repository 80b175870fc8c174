"""The codes of a trained tokenizer as classes (BEiT, Bao et al. 2022; CAE, Chen et al. 2024)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from pymim.contracts import Asked, Encoder, GivesCodes, Tally, Target
from pymim.encoders.copy import Copy
from pymim.errors import ConfigError
from pymim.layers.gather import gather
from pymim.measures import mean, usage

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Codes(Target):
    """Give the number of the code of each patch, by a tokenizer that sees the whole view [B M].

    A view of another size may be read by `Objective.to`, as BEiT's and CAE's tokenizer sees the
    same crop at half the size: its grid must be the encoder's.

    Args:
        encoder: the method's encoder.
        teacher: constructor, called with the encoder: `encoders.Frozen` from a file, with a
            tokenizer as its `model`, such as `encoders.Quantised`.

    Raises:
        ValueError: the teacher's encoder gives no codes; when called, ConfigError if its grid is
            not the encoder's.
    """

    def __init__(self, encoder: Encoder, teacher: Callable[[Encoder], Copy]):
        super().__init__()
        self.teacher = teacher(encoder)
        if not isinstance(self.teacher.module, GivesCodes):
            got = type(self.teacher.module).__name__
            raise ValueError(
                f"Codes: teacher: expected a tokenizer, got {got}, which gives no codes; set "
                "encoders.Frozen.model = @encoders.Quantised()"
            )
        self.width: int = self.tokenizer.clusters
        self.chance = math.log(self.width)  # the loss of a prediction that knows nothing
        self.patch, self._grid = encoder.patch, encoder.grid

    @property
    def tokenizer(self) -> Any:
        """The teacher's encoder."""
        return self.teacher.module

    @torch.no_grad()
    def forward(self, asked: Asked) -> Int[Tensor, "B M"]:
        wanted = asked.grid or self._grid(asked.view.shape)
        got = self.tokenizer.grid(asked.view.shape)
        if got != wanted:
            raise ConfigError(
                f"Codes: teacher: expected a grid of {wanted} patches, as the encoder has, got "
                f"{got} of a view of {tuple(asked.view.shape[2:])} pixels; give the "
                "tokenizer another patch, or a view of another size"
            )
        ids = self.assignments(asked.view)
        return ids if asked.ids is None else gather(ids[..., None], asked.ids)[..., 0]

    @torch.no_grad()
    def assignments(self, view: Float[Tensor, "B C *S"]) -> Int[Tensor, "B N"]:
        """Give the code of every patch."""
        ids: Tensor = self.tokenizer.codes(self.teacher(view))
        return ids

    def gauges(self, prediction: Tensor, target: Int[Tensor, "B M"]) -> dict[str, Tally]:
        """Give how the batch uses the codes, and the share that is predicted rightly."""
        right = (prediction.argmax(-1) == target).double()
        return usage(target, self.width) | {"right": mean(right)}

    @torch.no_grad()
    def to_pixels(
        self,
        values: Float[Tensor, "B M K"],
        view: Float[Tensor, "B C *S"],
        ids: Int[Tensor, "B M"] | None,
    ) -> Float[Tensor, "B M P"]:
        """Give the likeliest code's mean pixels, at the size of the encoder's patches."""
        pixels: Tensor = self.tokenizer.pixels(values.argmax(-1))
        theirs = self.tokenizer.patch
        if theirs == self.patch:
            return pixels
        small = pixels.flatten(0, 1).unflatten(1, (*theirs, -1)).movedim(-1, 1)
        return interpolate(small, self.patch).movedim(1, -1).reshape(*values.shape[:2], -1)

    def shown(self, view: Float[Tensor, "B C *S"]) -> Float[Tensor, "B C *S"]:
        """Give the view itself: every patch has a code."""
        return view
