"""A transformer over visible tokens and mask tokens together (MAE, He et al. 2022)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pymim.encoders.encoder import Encoder, Features
from pymim.layers.block import Block, make_norm
from pymim.layers.gather import gather, place
from pymim.layers.init import init_weights
from pymim.layers.positions import Positioned
from pymim.masks.mask import Grid, Mask

if TYPE_CHECKING:
    from jaxtyping import Float


class Transformer(Positioned):
    """Embeds the encoder's tokens, puts one learned token in place of every hidden patch, adds positions, and
    reads the predicted patches off after `depth` blocks.

    Tokens stand in raster order behind the encoder's prefix (MAE). With `order` "visible-first" the predicted
    ones follow the visible ones instead (VideoMAE, HPM): hidden ones that are not predicted then cost nothing.
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
        order: str = "raster",
        norm: str = "layer",
    ):
        super().__init__()
        if order not in ("raster", "visible-first"):
            raise ValueError(
                f"Transformer: order: expected raster or visible-first, got {order!r}; name one of them"
            )
        self.order = order
        self.embed = nn.Linear(encoder.width, dim)
        self.mask_token = nn.Parameter(torch.empty(1, 1, dim))
        self.make_positions(positions, encoder.base, dim, encoder.prefix)
        self.blocks = nn.ModuleList(Block(dim, heads, mlp_ratio, norm=norm) for _ in range(depth))
        self.norm = make_norm(norm, dim)
        self.head = nn.Linear(dim, width)
        init_weights(self)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(self, features: Features, mask: Mask, grid: Grid) -> Float[Tensor, "B M T"]:
        """Predictions for `mask.predicted`."""
        prefix, visible = self._embed(features)
        if self.order == "raster":
            tokens = self._run(prefix, self._restore(visible, mask, grid), grid)
            return self._read(gather(tokens, mask.predicted))
        asked = self.mask_token.to(visible.dtype).expand(*mask.predicted.shape, -1)
        ids = torch.cat([mask.visible, mask.predicted], 1)
        tokens = self._run(prefix, torch.cat([visible, asked], 1), grid, ids)
        return self._read(tokens[:, visible.shape[1] :])

    def everywhere(self, features: Features, mask: Mask, grid: Grid) -> Float[Tensor, "B N T"]:
        """Predictions for every patch, for pictures; those for visible ones are untrained."""
        prefix, visible = self._embed(features)
        return self._read(self._run(prefix, self._restore(visible, mask, grid), grid))

    def _embed(self, features: Features) -> tuple[Tensor, Tensor]:
        tokens = self.embed(torch.cat([features.prefix, features.tokens], 1))
        return tokens[:, : self.prefix], tokens[:, self.prefix :]

    def _restore(self, visible: Tensor, mask: Mask, grid: Grid) -> Tensor:
        patches = math.prod(grid)
        return visible if visible.shape[1] == patches else place(visible, mask.visible, patches, self.mask_token)

    def _run(self, prefix: Tensor, tokens: Tensor, grid: Grid, ids: Tensor | None = None) -> Tensor:
        if (rows := self.positions(grid)) is not None:
            prefix = prefix + rows[0]
            tokens = tokens + (rows[1] if ids is None else rows[1][0][ids])
        tokens = torch.cat([prefix, tokens], 1)
        for block in self.blocks:
            tokens = block(tokens)
        return tokens[:, self.prefix :]

    def _read(self, tokens: Tensor) -> Tensor:
        out: Tensor = self.head(self.norm(tokens))
        return out
