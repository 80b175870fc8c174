"""Rotary positions along each axis of a patch grid (RoFormer, Su et al. 2021; EVA-02, Fang et al.
2023).

Channel i of a head turns with channel i + E/2. In the form "rotary" the axes divide the channel
pairs, and each pair turns by the coordinate of its own axis. So the map is a rotation: norms are
kept, and products depend only on differences of positions.

The form "rotary-coupled" is what the released code of CAPI (Darcet et al. 2025) computes. The axes
divide the channels, not the pairs, so each pair mixes the angles of two axes. It is a rotation only
where both coordinates are equal, and products change under a shift. Weights trained with one form
do not work with the other; encoders.Frozen refuses them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float, Int

FORMS = ("rotary", "rotary-coupled")


class Rotation(NamedTuple):
    """Cosines and sines of every channel's angle, float32: [L E] for all images, or [B 1 L E]."""

    cos: Tensor
    sin: Tensor

    def of(self, images: Tensor | slice) -> Rotation:
        """Give the rotations of these images of the batch."""
        return self if self.cos.ndim == 2 else Rotation(self.cos[images], self.sin[images])


class Rotary:
    """Make rotations of patches and of a prefix.

    Args:
        width: channels E of a head.
        form: "rotary" or "rotary-coupled".
        unplaced: prefix tokens that do not turn; they come first.
        placed: prefix tokens placed around the border of the visible patches; a multiple of 4.

    Raises:
        ValueError: placed is not a multiple of 4.
    """

    def __init__(self, width: int, form: str = "rotary", unplaced: int = 0, placed: int = 0):
        self.width, self.form = width, form
        self.unplaced, self.placed = unplaced, placed
        if placed % 4:
            raise ValueError(
                f"Rotary: placed: expected a multiple of 4, as each side of the border has as "
                f"many, got {placed}; change the number of registers"
            )

    def tokens(
        self, grid: tuple[int, ...], ids: Int[Tensor, "B V"] | None, device: torch.device
    ) -> Rotation:
        """Give the rotations of the prefix and of the patches `ids`; default: all patches."""
        places = coordinates(grid, device) if ids is None else coordinates(grid, device)[ids]
        if self.placed:
            places = torch.cat([border(self.placed, places), places], -2)
        return self._rotation(places, self.unplaced)

    def patches(self, grid: tuple[int, ...], ids: Int[Tensor, "B M"]) -> Rotation:
        """Give the rotations of the patches `ids`."""
        return self._rotation(coordinates(grid, ids.device)[ids], 0)

    def _rotation(self, places: Tensor, prefix: int) -> Rotation:
        turned = rotation(angles(places, self.width, self.form), prefix)
        return turned if places.ndim == 2 else Rotation(turned.cos[:, None], turned.sin[:, None])


def coordinates(grid: tuple[int, ...], device: torch.device | None = None) -> Float[Tensor, "N A"]:
    """Give the places of the patches in the unit square or cube: the first at 0, the last at 1."""
    axes = [torch.linspace(0, 1, size, device=device) for size in grid]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flatten(0, -2)


def border(count: int, places: Float[Tensor, "*B V 2"]) -> Float[Tensor, "*B R 2"]:
    """Place `count` registers evenly around the bounding box of `places` (CAPI).

    They start at its first corner and follow the rows. If nothing is visible, the box is the unit
    square.

    Raises:
        ValueError: places are not of an image.
    """
    if places.shape[-1] != 2:
        got = places.shape[-1]
        raise ValueError(
            f"border: places: expected the 2 axes of an image, got {got}; "
            "set place_registers = False"
        )
    step = torch.arange(count // 4, device=places.device) / max(1, count // 4)
    zero, one = torch.zeros_like(step), torch.ones_like(step)
    sides = [(step, zero), (one, step), (1 - step, one), (zero, 1 - step)]
    square = torch.cat([torch.stack(side, -1) for side in sides])
    if not places.shape[-2]:
        return square.expand(*places.shape[:-2], -1, -1)
    low, high = places.amin(-2, keepdim=True), places.amax(-2, keepdim=True)
    return low + square * (high - low)


def angles(
    places: Float[Tensor, "*L A"],
    width: int,
    form: str = "rotary",
    highest: float = 7.0,
    lowest: float = 7e-4,
) -> Float[Tensor, "*L E"]:
    """Give the angle of each channel: 2 pi f x, with f geometric from `highest` to `lowest` on each
    axis.

    Channels left over when the axes divide them do not turn (angle 0).

    Raises:
        ValueError: "rotary-coupled" without 2 axes, or with a width not divisible by 4.
    """
    axes, half = places.shape[-1], width // 2
    each = half // axes
    if form == "rotary-coupled" and (axes != 2 or width % 4):
        raise ValueError(
            f"rotary-coupled: expected 2 axes, and a width of heads divisible by 4, got {axes} and "
            f"{width}; set positions = 'rotary'"
        )
    powers = torch.arange(each, device=places.device, dtype=torch.float32) / max(each - 1, 1)
    frequencies = 2 * math.pi * highest * (lowest / highest) ** powers
    turned = places.float()[..., None] * frequencies
    # Coupled: (row, row) on the first half of the channels, (column, column) on the second.
    if form == "rotary-coupled":
        return torch.cat([turned, turned], -1).flatten(-2)
    pairs = torch.nn.functional.pad(turned.flatten(-2), (0, half - each * axes))
    return torch.cat([pairs, pairs], -1)


def rotation(turn: Float[Tensor, "*L E"], prefix: int = 0) -> Rotation:
    """Give cosines and sines of `turn`, after `prefix` tokens that have no place and no turn."""
    turn = torch.nn.functional.pad(turn, (0, 0, prefix, 0))
    return Rotation(turn.cos(), turn.sin())


def rotate(heads: Float[Tensor, "*H L E"], by: Rotation) -> Float[Tensor, "*H L E"]:
    """Turn channel i with channel i + E/2. Angles are float32; cosines take the heads' dtype."""
    first, second = heads.chunk(2, -1)
    return heads * by.cos.to(heads.dtype) + torch.cat([-second, first], -1) * by.sin.to(heads.dtype)
