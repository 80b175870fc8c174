"""Mask tokens that look at the visible ones and not at each other (CrossMAE, Fu et al. 2024; CAPI, Darcet et al.
2025)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pymim.encoders.encoder import Encoder, Features
from pymim.layers.block import make_norm
from pymim.layers.cross import CrossBlock
from pymim.layers.init import init_weights
from pymim.layers.linear import Linear
from pymim.layers.positions import Positioned
from pymim.layers.rotary import Rotation, angles, coordinates, rotation
from pymim.masks.mask import Grid, Mask

if TYPE_CHECKING:
    from jaxtyping import Float


class Cross(Positioned):
    """`depth` blocks of cross-attention and MLP, from one learned token per predicted patch, told apart by
    position, to the encoder's tokens, prefix included.

    Predictions are independent of each other given the visible patches, so that to predict a few of the hidden
    ones is exact, and costs only those.
    """

    def __init__(
        self,
        encoder: Encoder,
        width: int,
        dim: int = 512,
        depth: int = 8,
        heads: int = 16,
        mlp_ratio: float = 4.0,
        positions: str = "sincos",
        norm: str = "layer",
        bias: bool = True,
    ):
        super().__init__()
        self.turns = dim // heads if positions == "rotary" else 0
        self.embed = Linear(encoder.width, dim)
        self.mask_token = nn.Parameter(torch.empty(1, 1, dim))
        self.make_positions(positions, encoder.base, dim, encoder.prefix)
        self.blocks = nn.ModuleList(CrossBlock(dim, heads, mlp_ratio, bias, norm) for _ in range(depth))
        self.norm = make_norm(norm, dim)
        self.head = Linear(dim, width)
        init_weights(self)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(self, features: Features, mask: Mask, grid: Grid) -> Float[Tensor, "B M T"]:
        return self._predict(features, mask.visible, mask.predicted, grid)

    def everywhere(self, features: Features, mask: Mask, grid: Grid) -> Float[Tensor, "B N T"]:
        """Predictions for every patch in raster order; those for visible ones are untrained."""
        every = torch.arange(math.prod(grid), device=mask.visible.device).expand(len(mask.visible), -1)
        return self._predict(features, mask.visible, every, grid)

    def _predict(self, features: Features, visible: Tensor, asked: Tensor, grid: Grid) -> Tensor:
        context = self.embed(torch.cat([features.prefix, features.tokens], 1))
        queries = self.mask_token.expand(*asked.shape, -1)
        if (rows := self.positions(grid)) is not None:
            prefix, table = rows
            seen = torch.cat([prefix.expand(len(visible), -1, -1), table[0][visible]], 1)
            context, queries = context + seen, queries + table[0][asked]
        turns = self._rotations(visible, asked, grid)
        for block in self.blocks:
            queries = block(queries, context, turns)
        out: Tensor = self.head(self.norm(queries))
        return out

    def _rotations(self, visible: Tensor, asked: Tensor, grid: Grid) -> tuple[Rotation, Rotation] | None:
        if not self.turns:
            return None
        turn = angles(coordinates(grid, visible.device), self.turns)
        return rotation(turn[asked][:, None]), rotation(turn[visible][:, None], self.prefix)
