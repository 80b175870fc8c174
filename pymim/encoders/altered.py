"""Encoders that see all patches of a view whose hidden pixels are altered.

Other encoders drop the tokens of hidden patches or replace them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pymim.checks import finite
from pymim.contracts import Encoder, Features, Mask
from pymim.encoders.wrapped import Wrapped
from pymim.errors import ConfigError
from pymim.layers.patch import cells
from pymim.views.normalise import Normalise, Statistics

if TYPE_CHECKING:
    from jaxtyping import Float

GETS = ("add", "mix")  # trunks with this `hidden` get the mask too


class Altered(Wrapped):
    """Alter the pixels of a view by its mask, then encode every patch.

    Without a mask it is the trunk alone. The trunk does not get the mask, so it may consist of
    convolutions. A trunk whose `hidden` is "add" or "mix" gets the mask too and applies it as well
    (A2MIM, Li et al. 2023: filled pixels, and a token added to them).

    Args:
        trunk: the encoder that sees the altered view; its `hidden` is "none", "drop", "add" or
            "mix". One with "drop" keeps all patches here.
        how: constructor, called with the trunk. Gives a module how(view, mask) -> altered view [B C
            *S]; see `Fill` and `Filter`.

    Raises:
        ValueError: the trunk replaces hidden patches, which would hide the altered pixels.
    """

    def __init__(self, trunk: Encoder, how: Callable[[Encoder], nn.Module]):
        super().__init__(trunk)
        if trunk.hidden not in ("none", "drop", *GETS):
            raise ValueError(
                "Altered: trunk: expected hidden = 'none', 'drop', 'add' or 'mix', got "
                f"{trunk.hidden!r}, which would hide the altered pixels; change the trunk's hidden"
            )
        self.how, self.hidden = how(trunk), "altered"

    @property
    def dense(self) -> bool:
        return True

    @property
    def bare(self) -> Encoder:
        return self.trunk.bare

    def forward(self, view: Float[Tensor, "B C *S"], mask: Mask | None = None) -> Features:
        if mask is None:
            return super().forward(view)
        return super().forward(self.how(view, mask), mask if self.trunk.hidden in GETS else None)

    @torch.no_grad()
    def seen(self, view: Float[Tensor, "B C *S"], mask: Mask) -> Tensor:
        altered: Tensor = self.how(view, mask)
        return altered


class Fill(nn.Module):
    """Fill hidden patches with one colour.

    Args:
        encoder: the encoder whose patches are filled; gives patch size, grid and channels.
        value: "mean", the mean of each channel of the view, hidden patches included (A2MIM, Li et
            al. 2023); "learned", one colour for all views; or a number in units of normalised
            views, where 0 is the mean of the data.

    Raises:
        ValueError: the value is another word.
    """

    def __init__(self, encoder: Encoder, value: str | float = "mean"):
        super().__init__()
        finite(self, value=0.0 if isinstance(value, str) else value)
        if isinstance(value, str) and value not in ("mean", "learned"):
            raise ValueError(
                f"Fill: value: expected 'mean', 'learned' or a number, got {value!r}; "
                "name one of them"
            )
        self.value, self.patch = value, encoder.patch
        self._grid = encoder.grid
        shape = (1, encoder.channels) + (1,) * len(encoder.patch)
        self.colour = nn.Parameter(torch.zeros(shape)) if value == "learned" else None

    def forward(self, view: Float[Tensor, "B C *S"], mask: Mask) -> Float[Tensor, "B C *S"]:
        grid = self._grid(view.shape)
        hidden = cells(mask.boolean(torch.Size(grid).numel()), grid, self.patch)
        for axis, side in enumerate(view.shape[2:], 2):
            hidden = hidden.narrow(axis, 0, side)  # a ResNet's last cells may exceed the view
        return torch.where(hidden, self._colour(view), view)

    def _colour(self, view: Tensor) -> Tensor:
        if self.colour is not None:
            return self.colour.to(view.dtype)
        if self.value == "mean":
            return view.mean(tuple(range(2, view.ndim)), keepdim=True)
        return view.new_tensor(self.value)


class Filter(nn.Module):
    """Keep the frequencies of each channel and frame that `mask.extra.filtered` keeps (MFM, Xie et
    al. 2023).

    Filters pixels on [0, 1], whatever range views have, then clamps them to [0, 1] as released.
    Clamping loses about half of a high-pass view, whose mean is 0; `clamp` = False keeps it.

    Args:
        encoder: the encoder of the views; gives the number of axes.
        statistics: the mean and deviation that the views were normalised with.
        clamp: clamp the filtered pixels to [0, 1].

    Raises:
        ConfigError: when called with a mask that draws no frequencies.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, encoder: Encoder, statistics: Statistics = "imagenet", clamp: bool = True):
        super().__init__()
        self.clamp, self.normalise = clamp, Normalise(statistics)
        measured = self.normalise
        shape = (-1,) + (1,) * len(encoder.patch)
        self.register_buffer("mean", measured.mean.view(shape), persistent=False)
        self.register_buffer("std", measured.std.view(shape), persistent=False)

    def forward(self, view: Float[Tensor, "B C *S"], mask: Mask) -> Float[Tensor, "B C *S"]:
        if not hasattr(mask.extra, "filtered"):
            got = type(mask.extra).__name__
            raise ConfigError(
                f"Filter: mask: expected a mask that draws frequencies, got {got} as its extra; "
                "use masks.Band"
            )
        pixels: Tensor = mask.extra.filtered(
            self.normalise.to_unit(view.float() * self.std + self.mean)
        )
        pixels = self.normalise.from_unit(pixels.clamp(0, 1) if self.clamp else pixels)
        return ((pixels - self.mean) / self.std).to(view.dtype)
