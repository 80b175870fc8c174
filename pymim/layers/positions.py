"""Positions: fixed sine-cosine, learned, separable in space and time, or rotary; and resampling to
another grid.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pymim.layers.rotary import FORMS, Rotary

if TYPE_CHECKING:
    from jaxtyping import Float

Grid = tuple[int, ...]
KINDS = ("sincos", "interleaved", "learned", "separable", *FORMS, "none")
RESAMPLINGS = ("size", "offset", "antialias")
OFFSET = 0.1  # in cells


def sincos(grid: Grid, dim: int) -> Float[Tensor, "N D"]:
    """Give sines and cosines of the coordinates on each axis (MAE, He et al. 2022).

    Each axis gets an equal part of the channels, the last axis (columns) first. A part has all its
    sines, then all its cosines, of x 10000^(-i/n), i < n = D / (2 axes).

    Raises:
        ValueError: dim is not a multiple of 2 axes.
    """
    count = dim // (2 * len(grid))
    if dim != 2 * len(grid) * count:
        raise ValueError(
            f"sincos: dim: expected a multiple of {2 * len(grid)}, got {dim}; change it, "
            "or use learned positions"
        )
    frequencies = 10000.0 ** (-torch.arange(count, dtype=torch.float64) / count)
    places = torch.meshgrid(
        *(torch.arange(size, dtype=torch.float64) for size in grid), indexing="ij"
    )
    turns = [place.reshape(-1, 1) * frequencies for place in reversed(places)]
    return torch.cat([part for turn in turns for part in (turn.sin(), turn.cos())], 1).float()


def interleaved(grid: Grid, dim: int) -> Float[Tensor, "N D"]:
    """Give sines and cosines of the raster index, alternating (Vaswani et al. 2017; VideoMAE, Tong
    et al. 2022).
    """
    frequencies = 10000.0 ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    turns = torch.arange(math.prod(grid), dtype=torch.float64)[:, None] * frequencies
    return torch.stack([turns.sin(), turns.cos()], -1).flatten(1).float()


def resample(
    table: Float[Tensor, "1 N D"], old: Grid, new: Grid, how: str = "size"
) -> Float[Tensor, "1 M D"]:
    """Resample a table to another grid: bicubic in space, linear in time, as ViTs change
    resolution.

    Args:
        table: one row per patch of the old grid.
        old: the table's grid.
        new: the grid wanted.
        how: "size"; "offset", by the factor (cells + 0.1) / side, so that rounding never loses a
            row (DINO, Caron et al. 2021; iBOT, DINOv2); or "antialias", which averages where it
            shrinks (DINOv2 with registers, Darcet et al. 2024).
    """
    if old == new:
        return table
    rows = table.unflatten(1, old).movedim(-1, 1).float()
    if len(old) == 3:
        rows = F.interpolate(rows, (new[0], *old[1:]), mode="trilinear", align_corners=False)
        rows = rows.movedim(2, 1).flatten(0, 1)
    if how == "offset":
        factors = tuple(
            (cells + OFFSET) / side for cells, side in zip(new[-2:], old[-2:], strict=True)
        )
        rows = F.interpolate(rows, scale_factor=factors, mode="bicubic", align_corners=False)
    else:
        antialias = how == "antialias"
        rows = F.interpolate(
            rows, new[-2:], mode="bicubic", align_corners=False, antialias=antialias
        )
    return rows.movedim(1, -1).reshape(1, -1, table.shape[-1]).to(table.dtype)


class Separable(nn.Module):
    """Add a learned row per place and one per time: [1 R+N D] (MAE-ST, Feichtenhofer et al.
    2022).
    """

    def __init__(self, grid: Grid, dim: int, prefix: int):
        super().__init__()
        self.temporal = nn.Parameter(torch.zeros(1, grid[0], 1, dim))
        self.spatial = nn.Parameter(torch.zeros(1, 1, math.prod(grid[1:]), dim))
        self.prefix = nn.Parameter(torch.zeros(1, prefix, dim))
        for rows in self.parameters():
            nn.init.trunc_normal_(rows, std=0.02)

    def forward(self) -> Float[Tensor, "1 L D"]:
        return torch.cat([self.prefix, (self.temporal + self.spatial).flatten(1, 2)], 1)


class Positioned(nn.Module):
    """Base class with a position table under timm's name `pos_embed`, or rotary positions.

    The table is [1 R+N D], prefix rows first. A learned table is a parameter; a fixed one is a
    buffer whose prefix rows (class token, registers) are zero. Rotary positions turn the heads'
    queries and keys.
    """

    pos_embed: Tensor | Separable | None
    rotary: Rotary | None
    base: Grid
    prefix: int
    resampling: str

    def make_positions(
        self,
        kind: str,
        base: Grid,
        dim: int,
        prefix: int,
        heads: int = 1,
        placed: int = 0,
        resampling: str = "size",
    ) -> None:
        """Make the table, or the rotations.

        Args:
            kind: "sincos", "interleaved", "learned", "separable", "rotary", "rotary-coupled" or
                "none".
            base: the usual patch grid.
            dim: width of the tokens.
            prefix: number of prefix tokens.
            heads: number of attention heads, for rotary positions.
            placed: prefix tokens that are rotated too.
            resampling: how the table is resampled; see `resample`.

        Raises:
            ValueError: a choice is unknown, or a resampling has no table to act on.
        """
        for name, value, choices in (
            ("positions", kind, KINDS),
            ("resampling", resampling, RESAMPLINGS),
        ):
            if value not in choices:
                raise ValueError(
                    f"{name}: expected one of {', '.join(choices)}, got {value!r}; name one of them"
                )
        if resampling != "size" and kind in (*FORMS, "none"):
            raise ValueError(
                f"resampling: expected 'size' for {kind} positions, which have no table to "
                f"resample, got {resampling!r}; leave it out, or use learned positions"
            )
        self.base, self.prefix = base, prefix
        self.resampling = resampling
        self.rotary = Rotary(dim // heads, kind, prefix - placed, placed) if kind in FORMS else None
        if kind in (*FORMS, "none"):
            self.pos_embed = None
        elif kind == "separable":
            self.pos_embed = Separable(base, dim, prefix)
        elif kind == "learned":
            self.pos_embed = nn.Parameter(
                torch.empty(1, prefix + math.prod(base), dim).normal_(std=0.02)
            )
        else:
            table = sincos(base, dim) if kind == "sincos" else interleaved(base, dim)
            self.register_buffer("pos_embed", F.pad(table, (0, 0, prefix, 0))[None])

    def positions(self, grid: Grid) -> tuple[Tensor, Tensor] | None:
        """Give the rows of the prefix [1 R D] and of the patches of this grid [1 N D]; None without
        a table.
        """
        table = self.pos_embed() if isinstance(self.pos_embed, Separable) else self.pos_embed
        if table is None:
            return None
        return table[:, : self.prefix], resample(
            table[:, self.prefix :], self.base, grid, self.resampling
        )
