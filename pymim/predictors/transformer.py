"""A transformer over visible tokens and mask tokens together (MAE, He et al. 2022)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pymim.contracts import Encoder, Features, Grid, Mask
from pymim.layers.block import Block, make_norm
from pymim.layers.gather import gather, raster
from pymim.layers.init import init_weights
from pymim.layers.linear import Linear
from pymim.layers.positions import Positioned

if TYPE_CHECKING:
    from jaxtyping import Float


class Transformer(Positioned):
    """Embeds the encoder's tokens, adds one learned token per hidden patch, gives each its position, and reads
    predictions off after `depth` blocks.

    Hidden tokens stand behind the visible ones. Since a transformer does not see the order of its tokens, that is
    MAE's decoder, which restores the raster order first, without its cost; and the last block has to update the
    predicted tokens only.

    Groups of a mask (`Mask.groups`) are predicted apart from each other: the mask tokens of one see each other and
    what the encoder saw, and no mask token besides (I-JEPA, Assran et al. 2023).

    Args:
        encoder, width: what it follows, and T.
        sparse: leave out hidden patches that are not predicted, as if they were not there.
    """

    reads = "mask"

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
        sparse: bool = False,
    ):
        super().__init__()
        self.sparse = sparse
        self.embed = Linear(encoder.width, dim)
        self.mask_token = nn.Parameter(torch.empty(1, 1, dim))
        self.make_positions(positions, encoder.base, dim, encoder.prefix)
        self.blocks = nn.ModuleList(Block(dim, heads, mlp_ratio, norm=norm) for _ in range(depth))
        self.norm = make_norm(norm, dim)
        self.head = Linear(dim, width)
        init_weights(self)
        nn.init.normal_(self.mask_token, std=0.02)

    def share(self, other: nn.Module) -> None:
        """Takes the embedding, mask token and positions of another one, so that both have the same input and differ
        from the first block on."""
        if not isinstance(other, Transformer) or other.mask_token.shape != self.mask_token.shape:
            got = type(other).__name__
            raise ValueError(
                f"Transformer.share: other: expected a Transformer of the same dim, got {got}; share none"
            )
        self.embed, self.mask_token, self.pos_embed = other.embed, other.mask_token, other.pos_embed

    def forward(self, features: Features, mask: Mask, grid: Grid) -> Float[Tensor, "B M T"]:
        """Predictions for `mask.predicted`."""
        if mask.groups > 1:
            return self._apart(features, mask, grid)
        if mask.predicts_all_hidden or self.sparse:
            return self._predict(features, mask.visible, mask.predicted, grid, mask.predicted.shape[1])
        return gather(self.everywhere(features, mask, grid), mask.predicted)

    def _apart(self, features: Features, mask: Mask, grid: Grid) -> Tensor:
        """Predict each group as if the others were not there: an image of its own in the batch."""
        count, total = mask.groups, mask.predicted.shape[1]
        prefix, tokens = (part.repeat_interleave(count, 0) for part in (features.prefix, features.tokens))
        asked = mask.predicted.reshape(-1, total // count)
        seen = mask.visible.repeat_interleave(count, 0)
        repeated = features._replace(prefix=prefix, tokens=tokens)
        return self._predict(repeated, seen, asked, grid, asked.shape[1]).reshape(len(mask.visible), total, -1)

    def everywhere(self, features: Features, mask: Mask, grid: Grid) -> Float[Tensor, "B N T"]:
        """Predictions for every patch in raster order. Where the loss is on hidden ones, the rest is untrained."""
        values = self._predict(features, mask.visible, mask.hidden, grid, math.prod(grid))
        return raster(values, torch.cat([mask.visible, mask.hidden], 1))

    def _predict(self, features: Features, seen: Tensor, unseen: Tensor, grid: Grid, asked: int) -> Tensor:
        tokens = self.embed(torch.cat([features.prefix, features.tokens], 1))
        tokens = torch.cat([tokens, self.mask_token.to(tokens.dtype).expand(*unseen.shape, -1)], 1)
        if (rows := self.positions(grid)) is not None:
            prefix, table = rows
            places = table[0][torch.cat([seen, unseen], 1)]
            tokens = tokens + torch.cat([prefix.expand(len(places), -1, -1), places], 1)
        for block in self.blocks[:-1]:
            tokens = block(tokens)
        tokens = self.blocks[-1](tokens, asked=asked)
        out: Tensor = self.head(self.norm(tokens))
        return out
