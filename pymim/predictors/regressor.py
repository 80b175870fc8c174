"""Queries of hidden patches that attend to visible tokens and to each other (CAE, Chen et al.
2024).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pymim.checks import finite, given, positive, whole
from pymim.contracts import Encoder, Features, Grid, Mask
from pymim.layers.block import MLP, DropPath, Images, LayerScale, make_norm, ramp
from pymim.layers.cross import CrossAttention
from pymim.layers.gather import rows
from pymim.layers.init import init_weights
from pymim.layers.positions import Positioned
from pymim.layers.rotary import FORMS
from pymim.predictors.places import token_ids

if TYPE_CHECKING:
    from jaxtyping import Float


class Regressor(Positioned):
    """Predict latent tokens of hidden patches from the encoder's visible ones [B M T].

    Each of `depth` blocks computes, for queries x at places p and visible tokens v at places q,

        c = [v; x],   x <- x + attention(norm(x + p), norm(c + [q; p]), norm(c)),
        x <- norm(x),   x <- x + mlp(x),

    with the second argument as keys and the third as values. Visible tokens are never updated, and
    the prefix is not seen. All queries begin as one learned vector. Queries are as wide as the
    target, and no map leads to it but the last norm.

    Args:
        encoder: the method's encoder.
        width: width T of the target; visible tokens of another width are mapped and normed first.
        depth: number of blocks.
        heads: attention heads; divides T.
        mlp_ratio: width of the MLP over T.
        positions: "sincos", "interleaved", "learned", "separable" or "none".
        layer_scale: initial gain of each branch; None: no gains.
        replace: the norm before the MLP replaces x, as above and in the released code; otherwise it
            is of the branch alone: x <- x + mlp(norm(x)).
        drop_path: rate of stochastic depth in the last block; it rises from 0 in the first.

    Raises:
        ValueError: a choice or a size is out of range, or positions that turn heads.
    """

    reads = "mask"

    def __init__(
        self,
        encoder: Encoder,
        width: int,
        depth: int = 4,
        heads: int = 12,
        mlp_ratio: float = 4.0,
        positions: str = "sincos",
        layer_scale: float | None = 0.1,
        replace: bool = True,
        drop_path: float = 0.0,
    ):
        super().__init__()
        whole(self, 1, depth=depth, heads=heads)
        positive(self, mlp_ratio=mlp_ratio)
        finite(self, 0, **given(layer_scale=layer_scale))
        if positions in FORMS:
            raise ValueError(
                f"Regressor: positions: expected some that are added, got {positions!r}; "
                "take 'sincos'"
            )
        same = encoder.width == width
        self.embed = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Linear(encoder.width, width), make_norm("layer", width))
        )
        self.mask_token = nn.Parameter(torch.empty(1, 1, width))
        self.make_positions(positions, encoder.base, width, 0)
        self.blocks = nn.ModuleList(
            ContextBlock(width, heads, mlp_ratio, layer_scale, replace, rate)
            for rate in ramp(drop_path, depth)
        )
        self.norm = make_norm("layer", width)
        init_weights(self)
        nn.init.trunc_normal_(self.mask_token, std=0.02)

    def forward(self, features: Features, mask: Mask | None, grid: Grid) -> Float[Tensor, "B M T"]:
        visible, ids = self.embed(features.tokens), token_ids(features, grid)
        if mask is None:
            asked = torch.arange(math.prod(grid), device=visible.device).expand(len(visible), -1)
        else:
            asked = mask.predicted
        queries = self.mask_token.to(visible.dtype).expand(*asked.shape, -1)
        places = None
        if (table := self.positions(grid)) is not None:
            seen = rows(table[1], ids).expand_as(visible)
            places = torch.cat([seen, rows(table[1], asked)], 1).to(visible.dtype)
        for block in self.blocks:
            queries = block(queries, visible, places)
        out: Tensor = self.norm(queries)
        return out


class ContextBlock(nn.Module):
    """Update queries by cross-attention to visible tokens and the queries, and an MLP: see
    `Regressor`.

    Args:
        dim: width of queries and tokens.
        heads: attention heads.
        mlp_ratio: width of the MLP over `dim`.
        layer_scale: initial gain of each branch; None: no gains.
        replace: the norm before the MLP replaces the queries.
        drop_path: rate of stochastic depth.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        mlp_ratio: float = 4.0,
        layer_scale: float | None = None,
        replace: bool = True,
        drop_path: float = 0.0,
    ):
        super().__init__()

        def scale() -> nn.Module:
            return nn.Identity() if layer_scale is None else LayerScale(dim, layer_scale)

        self.norm_q, self.norm_k = make_norm("layer", dim), make_norm("layer", dim)
        self.norm_v, self.attn = make_norm("layer", dim), CrossAttention(dim, heads)
        self.ls1, self.ls2 = scale(), scale()
        self.norm2, self.mlp = make_norm("layer", dim), MLP(dim, int(dim * mlp_ratio))
        self.replace, self.drop_path = replace, DropPath(drop_path)

    def forward(
        self,
        queries: Float[Tensor, "B M D"],
        visible: Float[Tensor, "B V D"],
        places: Float[Tensor, "B V+M D"] | None = None,
    ) -> Float[Tensor, "B M D"]:
        """Give the queries; `places` are the positions of visible tokens, then of queries."""
        context = torch.cat([visible, queries], 1)
        placed = context if places is None else context + places
        keys, values = self.norm_k(placed), self.norm_v(context)
        asking = self.norm_q(placed[:, visible.shape[1] :])

        def attend(images: Images) -> Tensor:
            mixed: Tensor = self.attn(asking[images], keys[images], values=values[images])
            return self.ls1(mixed)  # type: ignore[no-any-return]

        queries = self.drop_path(queries, attend)
        normed = self.norm2(queries)
        out: Tensor = self.drop_path(
            normed if self.replace else queries, lambda images: self.ls2(self.mlp(normed[images]))
        )
        return out
