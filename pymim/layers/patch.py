"""Cut images and clips into patches and put them back together, for any number of channels."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

from pymim.layers.gather import gather

if TYPE_CHECKING:
    from jaxtyping import Float, Int, Shaped

CONVS: dict[int, Callable[..., nn.Conv2d | nn.Conv3d]] = {2: nn.Conv2d, 3: nn.Conv3d}


def sides(value: int | tuple[int, ...], axes: int) -> tuple[int, ...]:
    """Repeat `value` for each of `axes` axes; give a tuple as it is."""
    return (value,) * axes if isinstance(value, int) else tuple(value)


def patch_grid(shape: tuple[int, ...], patch: tuple[int, ...]) -> tuple[int, ...]:
    """Give the patch grid of a view of this shape [B C *sides].

    Raises:
        ValueError: the patch does not divide the sides.
    """
    pixels = tuple(shape[2:])
    if len(pixels) != len(patch) or any(side % p for side, p in zip(pixels, patch, strict=True)):
        raise ValueError(
            f"patches: view: expected sides divisible by {patch}, got {pixels}; resize the views"
        )
    return tuple(side // p for side, p in zip(pixels, patch, strict=True))


def patchify(
    view: Float[Tensor, "B C *S"], patch: tuple[int, ...], last: bool = False
) -> Float[Tensor, "B N P"]:
    """Cut a view [B C *S] into flat patches [B N P] in raster order.

    Within a patch, channels come first, as in a convolution's weights; with `last` they come last,
    as in MAE's targets.
    """
    grid = patch_grid(view.shape, patch)
    b, c = view.shape[0], view.shape[1]
    axes = len(patch)
    cells = [side for pair in zip(grid, patch, strict=True) for side in pair]
    places, inside = range(2, 2 + 2 * axes, 2), range(3, 3 + 2 * axes, 2)
    order = (0, *places, *inside, 1) if last else (0, *places, 1, *inside)
    return (
        view.reshape(b, c, *cells).permute(order).reshape(b, math.prod(grid), c * math.prod(patch))
    )


def unpatchify(
    patches: Float[Tensor, "B N P"], grid: tuple[int, ...], patch: tuple[int, ...]
) -> Tensor:
    """Put channel-last patches together: the inverse of `patchify(..., last=True)`."""
    axes, channels = len(patch), patches.shape[2] // math.prod(patch)
    cells = patches.reshape(len(patches), *grid, *patch, channels)
    pairs = [axis for k in range(axes) for axis in (1 + k, 1 + axes + k)]
    whole = [g * p for g, p in zip(grid, patch, strict=True)]
    return cells.permute(0, 1 + 2 * axes, *pairs).reshape(len(patches), channels, *whole)


def cells(
    values: Shaped[Tensor, "B N"], grid: tuple[int, ...], patch: tuple[int, ...]
) -> Shaped[Tensor, "B 1 *S"]:
    """Give each pixel the value of its patch."""
    spread: Tensor = values.unflatten(1, grid)[:, None]
    for axis, side in enumerate(patch, 2):
        spread = spread.repeat_interleave(side, axis)
    return spread


class PatchEmbed(nn.Module):
    """Embed patches by the ViT's patch convolution, as a matrix product over the given patches
    only.

    Hidden patches cost nothing.

    Args:
        patch: pixels of a patch per axis.
        channels: channels of a view.
        dim: width of the tokens.
    """

    def __init__(self, patch: tuple[int, ...], channels: int, dim: int):
        super().__init__()
        self.patch = patch
        self.proj = CONVS[len(patch)](channels, dim, patch, stride=patch)

    def forward(
        self, view: Float[Tensor, "B C *S"], ids: Int[Tensor, "B V"] | None = None
    ) -> Tensor:
        patches = patchify(view, self.patch)
        if ids is not None:
            patches = gather(patches, ids)
        return F.linear(patches, self.proj.weight.flatten(1), self.proj.bias)
