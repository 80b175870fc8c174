"""Mask tokens that attend to visible tokens and not to each other (CrossMAE, Fu et al. 2024; CAPI,
Darcet et al. 2025).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pymim.checks import positive, share, whole
from pymim.contracts import Encoder, Features, Grid, Mask
from pymim.layers.block import make_norm
from pymim.layers.cosine import CosineLinear
from pymim.layers.cross import CrossBlock
from pymim.layers.gather import rows
from pymim.layers.init import check_init, init_weights
from pymim.layers.positions import Positioned
from pymim.layers.rotary import FORMS, Rotation
from pymim.predictors.places import token_ids

if TYPE_CHECKING:
    from jaxtyping import Float, Int

HEADS: dict[str, Callable[[int, int], nn.Module]] = {"linear": nn.Linear, "cosine": CosineLinear}


class Cross(Positioned):
    """Predict by `depth` blocks of cross-attention and MLP, from mask tokens to the encoder's
    tokens.

    Each predicted patch has one learned token plus its position; the context includes the prefix.
    Predictions do not depend on each other, so predicting a few of the hidden patches is exact and
    costs only those. If the encoder keeps hidden patches, all its tokens are the context.

    Args:
        encoder: the method's encoder.
        width: width T of the target.
        dim: width of the mask tokens.
        depth: number of blocks.
        heads: attention heads per block.
        mlp_ratio: width of the MLP over `dim`.
        positions: "sincos", "interleaved", "learned", "separable", "rotary", "rotary-coupled" or
            "none".
        norm: "layer" or "rms".
        norm_affine: give the norm before the head weights.
        bias: give the linear maps of the blocks biases.
        embed: map the encoder's tokens to `dim` once (CrossMAE); otherwise each block's keys and
            values do it (CAPI).
        head: "linear", or "cosine" of directions (CAPI).
        drop_path: share of the batch that each block's branches leave out in training.
        qkv_init: initial bound of keys and values: "joint", or "apart" (CAPI); see `layers.init`.

    Raises:
        ValueError: a choice or a size is out of range, or embed = False with positions that are
            added.
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
        norm_affine: bool = True,
        bias: bool = True,
        embed: bool = True,
        head: str = "linear",
        drop_path: float = 0.0,
        qkv_init: str = "joint",
    ):
        super().__init__()
        whole(self, 1, dim=dim, depth=depth, heads=heads)
        positive(self, mlp_ratio=mlp_ratio)
        share(self, "from 0 to below 1", drop_path=drop_path)
        check_init(self, qkv_init=qkv_init)
        if head not in HEADS:
            raise ValueError(
                f"Cross: head: expected one of {', '.join(HEADS)}, got {head!r}; name one of them"
            )
        if not embed and positions not in FORMS:
            raise ValueError(
                f"Cross: embed: expected True with {positions} positions, got False; "
                "set positions = 'rotary'"
            )
        self.embed = nn.Linear(encoder.width, dim) if embed else nn.Identity()
        self.mask_token = nn.Parameter(torch.empty(1, 1, dim))
        self.make_positions(positions, encoder.base, dim, encoder.prefix, heads, encoder.placed)
        context = dim if embed else encoder.width
        self.blocks = nn.ModuleList(
            CrossBlock(dim, heads, mlp_ratio, bias, norm, context, drop_path) for _ in range(depth)
        )
        self.norm = make_norm(norm, dim, norm_affine)
        self.head = HEADS[head](dim, width)
        init_weights(self, qkv_init)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(self, features: Features, mask: Mask | None, grid: Grid) -> Float[Tensor, "B M T"]:
        if mask is None:
            return self.predict_all(features, None, grid)
        return self._predict(features, mask.predicted, grid)

    def predict_all(
        self, features: Features, mask: Mask | None, grid: Grid
    ) -> Float[Tensor, "B N T"]:
        """Predict every patch in raster order. Predictions of visible ones are untrained."""
        return self._predict(features, _every(features, grid), grid)

    def pooled(self, features: Features, grid: Grid) -> Float[Tensor, "B D"]:
        """Give one vector of a whole image: the mean of the first block's output over all places
        (CAPI).

        `features.pooled` is the encoder's own.
        """
        queries, seen = self._start(features, _every(features, grid), grid)
        out: Tensor = self.norm(self.blocks[0](queries, *seen)).mean(1)
        return out

    def _predict(self, features: Features, asked: Tensor, grid: Grid) -> Tensor:
        queries, seen = self._start(features, asked, grid)
        for block in self.blocks:
            queries = block(queries, *seen)
        out: Tensor = self.head(self.norm(queries))
        return out

    def _start(
        self, features: Features, asked: Tensor, grid: Grid
    ) -> tuple[Tensor, tuple[Tensor, tuple[Rotation, Rotation] | None]]:
        """Give the mask tokens, and what they attend to: the context, and both rotations."""
        ids = token_ids(features, grid)
        context = self.embed(torch.cat([features.prefix, features.tokens], 1))
        queries = self.mask_token.expand(*asked.shape, -1)
        if (table := self.positions(grid)) is not None:
            prefix, patches = table[0], rows(table[1], ids)
            context = context + torch.cat([prefix.expand(len(patches), -1, -1), patches], 1)
            queries = queries + table[1][0][asked]
        return queries, (context, self._rotations(ids, asked, grid))

    def _rotations(
        self, ids: Tensor | None, asked: Tensor, grid: Grid
    ) -> tuple[Rotation, Rotation] | None:
        if self.rotary is None:
            return None
        return self.rotary.patches(grid, asked), self.rotary.tokens(grid, ids, asked.device)


def _every(features: Features, grid: Grid) -> Int[Tensor, "B N"]:
    every = torch.arange(math.prod(grid), device=features.tokens.device)
    return every.expand(len(features.tokens), -1)
