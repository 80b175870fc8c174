"""Rotary positions along each axis of a patch grid (RoFormer, Su et al. 2021; EVA-02, Fang et al. 2023).

Channel i of a head turns with channel i + E/2. In the form "rotary" channel pairs are shared out between the axes
and each turns by the coordinate of its own axis only, so that the map is a rotation: norms are kept, and products
depend on differences of positions alone.

The form "rotary-coupled" is what the released code of CAPI (Darcet et al. 2025) computes: channels, not pairs, are
shared out, so that each pair mixes the angles of two axes. It is a rotation only where both coordinates are equal,
and products are not invariant to a shift. Weights trained with one form are of no use with the other,
and encoders.Frozen refuses them.
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
    """Cosines and sines of every channel's angle, float32, [L E] for all images or [B 1 L E]."""

    cos: Tensor
    sin: Tensor

    def of(self, images: Tensor | slice) -> Rotation:
        """Of these images of the batch only."""
        return self if self.cos.ndim == 2 else Rotation(self.cos[images], self.sin[images])


class Rotary:
    """Rotations of patches, and of a prefix: `unplaced` tokens that do not turn, then `placed` ones that lie round
    the border of the visible patches.

    width: channels of a head, E. form: "rotary" or "rotary-coupled".
    """

    def __init__(self, width: int, form: str = "rotary", unplaced: int = 0, placed: int = 0):
        self.width, self.form, self.unplaced, self.placed = width, form, unplaced, placed
        if placed % 4:
            raise ValueError(f"Rotary: placed: expected a multiple of 4, as a square has sides, got {placed}")

    def tokens(self, grid: tuple[int, ...], ids: Int[Tensor, "B V"] | None, device: torch.device) -> Rotation:
        """Of the prefix and the patches `ids`, by default all."""
        places = coordinates(grid, device) if ids is None else coordinates(grid, device)[ids]
        if self.placed:
            places = torch.cat([border(self.placed, places), places], -2)
        return self._rotation(places, self.unplaced)

    def patches(self, grid: tuple[int, ...], ids: Int[Tensor, "B M"]) -> Rotation:
        """Of the patches `ids` alone."""
        return self._rotation(coordinates(grid, ids.device)[ids], 0)

    def _rotation(self, places: Tensor, prefix: int) -> Rotation:
        turned = rotation(angles(places, self.width, self.form), prefix)
        return turned if places.ndim == 2 else Rotation(turned.cos[:, None], turned.sin[:, None])


def coordinates(grid: tuple[int, ...], device: torch.device | None = None) -> Float[Tensor, "N A"]:
    """Places of the patches in the unit square or cube, first and last patch at 0 and 1."""
    axes = [torch.linspace(0, 1, size, device=device) for size in grid]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flatten(0, -2)


def border(count: int, places: Float[Tensor, "*B V 2"]) -> Float[Tensor, "*B R 2"]:
    """Places of `count` registers, evenly round the box that holds `places` (CAPI): from its first corner along the
    rows, and on. Where nothing is visible, the box is the unit square."""
    if places.shape[-1] != 2:
        got = places.shape[-1]
        raise ValueError(f"border: places: expected the 2 axes of an image, got {got}; place no registers")
    step = torch.arange(count // 4, device=places.device) / max(1, count // 4)
    zero, one = torch.zeros_like(step), torch.ones_like(step)
    sides = [(step, zero), (one, step), (1 - step, one), (zero, 1 - step)]
    square = torch.cat([torch.stack(side, -1) for side in sides])
    if not places.shape[-2]:
        return square.expand(*places.shape[:-2], -1, -1)
    low, high = places.amin(-2, keepdim=True), places.amax(-2, keepdim=True)
    return low + square * (high - low)


def angles(
    places: Float[Tensor, "*L A"], width: int, form: str = "rotary", highest: float = 7.0, lowest: float = 7e-4
) -> Float[Tensor, "*L E"]:
    """Angles of the channels: 2 pi f x, f geometric from `highest` to `lowest` on each axis.

    Channels that the axes cannot share equally stay where they are (angle 0).
    """
    axes, half = places.shape[-1], width // 2
    each = half // axes
    if form == "rotary-coupled" and (axes != 2 or width % 4):
        raise ValueError(
            f"rotary-coupled: expected 2 axes and heads of 4 n channels, got {axes} and {width}; "
            "use rotary positions"
        )
    powers = torch.arange(each, device=places.device, dtype=torch.float32) / max(each - 1, 1)
    frequencies = 2 * math.pi * highest * (lowest / highest) ** powers
    turned = places.float()[..., None] * frequencies
    if form == "rotary-coupled":  # (row, row) on the first half of the channels, (column, column) on the second
        return torch.cat([turned, turned], -1).flatten(-2)
    pairs = torch.nn.functional.pad(turned.flatten(-2), (0, half - each * axes))
    return torch.cat([pairs, pairs], -1)


def rotation(turn: Float[Tensor, "*L E"], prefix: int = 0) -> Rotation:
    """Cosines and sines of `turn`, after `prefix` tokens that have no place and do not turn."""
    turn = torch.nn.functional.pad(turn, (0, 0, prefix, 0))
    return Rotation(turn.cos(), turn.sin())


def rotate(heads: Float[Tensor, "*H L E"], by: Rotation) -> Float[Tensor, "*H L E"]:
    """Turns channel i with channel i + E/2. Angles are float32; their cosines take the heads' dtype."""
    first, second = heads.chunk(2, -1)
    return heads * by.cos.to(heads.dtype) + torch.cat([-second, first], -1) * by.sin.to(heads.dtype)
