"""Rotary positions along each axis of a patch grid (RoFormer, Su et al. 2021; EVA-02, Fang et al. 2023).

Channel pairs are shared out between the axes, and each pair turns by the coordinate of its own axis only, so
that the map is a rotation: norms are kept, and products depend on differences of positions alone.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float


class Rotation(NamedTuple):
    """Cosines and sines of every pair's angle, float32, [N E/2] or [B 1 L E/2]."""

    cos: Tensor
    sin: Tensor


def coordinates(grid: tuple[int, ...], device: torch.device | None = None) -> Float[Tensor, "N A"]:
    """Places of the patches in the unit square or cube, first and last patch at 0 and 1."""
    axes = [torch.linspace(0, 1, size, device=device) for size in grid]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flatten(0, -2)


def angles(
    places: Float[Tensor, "*L A"], width: int, highest: float = 7.0, lowest: float = 7e-4
) -> Float[Tensor, "*L half"]:
    """Angles of the width / 2 channel pairs: 2 pi f x, f geometric from `highest` to `lowest` per axis.

    Pairs that the axes cannot share equally stay where they are (angle 0).
    """
    axes, half = places.shape[-1], width // 2
    each = half // axes
    powers = torch.arange(each, device=places.device, dtype=torch.float32) / max(each - 1, 1)
    frequencies = 2 * math.pi * highest * (lowest / highest) ** powers
    turned = (places.float()[..., None] * frequencies).flatten(-2)
    return torch.nn.functional.pad(turned, (0, half - each * axes))


def rotation(turn: Float[Tensor, "*L half"], prefix: int = 0) -> Rotation:
    """Cosines and sines of `turn`, after `prefix` tokens that have no place and do not turn."""
    turn = torch.nn.functional.pad(turn, (0, 0, prefix, 0))
    return Rotation(turn.cos(), turn.sin())


def rotate(heads: Float[Tensor, "*H L E"], by: Rotation) -> Float[Tensor, "*H L E"]:
    """Turns channel i with channel i + E/2."""
    first, second = heads.float().chunk(2, -1)
    turned = (first * by.cos - second * by.sin, second * by.cos + first * by.sin)
    return torch.cat(turned, -1).to(heads.dtype)
