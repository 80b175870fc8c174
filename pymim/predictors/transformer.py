"""A transformer over visible tokens and mask tokens together (MAE, He et al. 2022)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pymim.checks import finite, given, positive, whole
from pymim.contracts import Encoder, Features, Grid, Mask
from pymim.layers.block import TransformerBlock, make_norm, ramp
from pymim.layers.gather import gather, raster, rows
from pymim.layers.init import check_init, init_weights
from pymim.layers.positions import Positioned
from pymim.predictors.places import token_ids, without_token

if TYPE_CHECKING:
    from jaxtyping import Float


class Transformer(Positioned):
    """Predict by `depth` transformer blocks over the encoder's tokens and one mask token per hidden
    patch.

    Mask tokens follow the visible tokens. A transformer does not see the order of its tokens, so
    this equals MAE's decoder, which first restores the raster order, at less cost. The last block
    updates only the predicted tokens. An encoder that keeps hidden patches has a token for each:
    then no mask token is added, and predictions are read from the tokens of the predicted patches.
    After another objective (`Objective.after`) it sees the predicted patches alone.

    Groups of a mask (`Mask.groups`) are predicted apart: mask tokens of one group see each other
    and the encoder's tokens, and no other mask tokens (I-JEPA, Assran et al. 2023).

    Args:
        encoder: the method's encoder.
        width: width T of the target.
        dim: width of the tokens.
        depth: number of blocks.
        heads: attention heads per block.
        mlp_ratio: width of the MLP over `dim`.
        positions: "sincos", "interleaved", "learned", "separable" or "none".
        norm: "layer" or "rms".
        sparse: leave out hidden patches that are not predicted.
        class_token: use an own class token, which starts at 0, in place of the encoder's prefix
            (MAE-ST, Feichtenhofer et al. 2022).
        embed_bias: give the map from the encoder's width to `dim` a bias.
        embed_init: initial weights of that map: "xavier", or "torch", torch's default (VideoMAE,
            Tong et al. 2022).
        qkv_init: initial bound of queries, keys and values: "joint", or "apart" (MAE-ST); see
            `layers.init`.
        embed: map the encoder's tokens to `dim`; otherwise they are taken as they are (CAE, Chen et
            al. 2024).
        layer_scale: initial gain of each branch of the blocks; None: no gains.
        drop_path: rate of stochastic depth in the last block; it rises from 0 in the first.

    Raises:
        ValueError: a choice or a size is out of range; sparse with an encoder that keeps every
            patch; arguments of the blocks without blocks; embed = False of another width.
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
        class_token: bool = False,
        embed_bias: bool = True,
        embed_init: str = "xavier",
        qkv_init: str = "joint",
        embed: bool = True,
        layer_scale: float | None = None,
        drop_path: float = 0.0,
    ):
        super().__init__()
        whole(self, 1, dim=dim, heads=heads)
        whole(self, 0 if encoder.dense else 1, depth=depth)
        positive(self, mlp_ratio=mlp_ratio)
        finite(self, 0, **given(layer_scale=layer_scale))
        check_init(self, qkv_init=qkv_init, embed_init=embed_init)
        _check_depth(depth, class_token, qkv_init)
        if sparse and encoder.dense:
            kind = type(encoder).__name__
            raise ValueError(
                f"Transformer: sparse: expected False, as {kind} has a token for every patch, "
                "got True; set the encoder's hidden = 'drop'"
            )
        self.sparse = sparse
        if not embed and encoder.width != dim:
            raise ValueError(
                f"Transformer: embed: expected True, as tokens of width {encoder.width} become "
                f"{dim} wide, got False; set dim = {encoder.width}"
            )
        self.embed = nn.Linear(encoder.width, dim, bias=embed_bias) if embed else nn.Identity()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim)) if class_token else None
        self.mask_token = None if encoder.dense else nn.Parameter(torch.empty(1, 1, dim))
        self.make_positions(positions, encoder.base, dim, 1 if class_token else encoder.prefix)
        self.blocks = nn.ModuleList(
            TransformerBlock(
                dim, heads, mlp_ratio, norm=norm, layer_scale=layer_scale, drop_path=rate
            )
            for rate in ramp(drop_path, depth)
        )
        self.norm = make_norm(norm, dim)
        self.head = nn.Linear(dim, width)
        init_weights(self, qkv_init, [self.embed] if embed_init == "torch" else ())
        if self.mask_token is not None:
            nn.init.normal_(self.mask_token, std=0.02)

    def share_input(self, other: nn.Module) -> None:
        """Take the embedding, tokens and positions of another one, so that both have the same
        input.

        Raises:
            ValueError: the other is not a Transformer of the same dim.
        """
        if (
            not isinstance(other, Transformer)
            or other.embed.weight.shape != self.embed.weight.shape
        ):
            got = type(other).__name__
            raise ValueError(
                f"Transformer: share_input: expected a Transformer of the same dim, got {got}; "
                "set the ranker's share_input = False"
            )
        self.embed, self.pos_embed = other.embed, other.pos_embed
        self.mask_token, self.cls_token = other.mask_token, other.cls_token

    def forward(self, features: Features, mask: Mask | None, grid: Grid) -> Float[Tensor, "B M T"]:
        """Predict `mask.predicted`; every patch if the mask is None."""
        ids = token_ids(features, grid)
        if mask is None:
            return self.predict_all(features, None, grid)
        if ids is not None and mask.groups > 1:
            return self._apart(features, mask, grid)
        if ids is not None and ids is mask.predicted and self.mask_token is None:
            return self._predict(features, None, grid, ids.shape[1])  # what is asked has its tokens
        # The short way: mask tokens for the predicted patches only, and no return to raster order.
        if ids is not None and (self.sparse or (mask.predicts_all_hidden and ids is mask.visible)):
            return self._predict(features, mask.predicted, grid, mask.predicted.shape[1])
        return gather(self.predict_all(features, mask, grid), mask.predicted)

    def predict_all(
        self, features: Features, mask: Mask | None, grid: Grid
    ) -> Float[Tensor, "B N T"]:
        """Predict every patch in raster order. If the loss is on hidden ones, the others are
        untrained.
        """
        ids, patches = token_ids(features, grid), math.prod(grid)
        if ids is None:
            return self._predict(features, None, grid, patches)
        hidden = without_token(ids, mask, grid)
        return raster(self._predict(features, hidden, grid, patches), torch.cat([ids, hidden], 1))

    def _apart(self, features: Features, mask: Mask, grid: Grid) -> Tensor:
        """Predict each group without the others: as an image of its own in the batch."""
        images, total = mask.predicted.shape
        each = total // mask.groups
        assert features.ids is not None, "a dense encoder has no groups of mask tokens"
        repeated = features._replace(
            prefix=features.prefix.repeat_interleave(mask.groups, 0),
            tokens=features.tokens.repeat_interleave(mask.groups, 0),
            ids=features.ids.repeat_interleave(mask.groups, 0),
        )
        asked = mask.predicted.reshape(images * mask.groups, each)
        return self._predict(repeated, asked, grid, each).reshape(images, total, -1)

    def _predict(self, features: Features, hidden: Tensor | None, grid: Grid, asked: int) -> Tensor:
        """Predict the last `asked` of the sequence: the encoder's tokens, then mask tokens of
        `hidden`.
        """
        tokens, ids = self._embedded(features), features.ids
        if hidden is not None and ids is not None:
            ids = torch.cat([ids, hidden], 1)
            tokens = torch.cat(
                [tokens, self._mask_token().to(tokens.dtype).expand(*hidden.shape, -1)], 1
            )
        if (table := self.positions(grid)) is not None:
            prefix, patches = table[0], rows(table[1], ids)
            tokens = tokens + torch.cat([prefix.expand(len(patches), -1, -1), patches], 1)
        for block in self.blocks[:-1]:
            tokens = block(tokens)
        tokens = self.blocks[-1](tokens, asked=asked)
        out: Tensor = self.head(self.norm(tokens))
        return out

    def _embedded(self, features: Features) -> Float[Tensor, "B R+V D"]:
        if self.cls_token is None:
            out: Tensor = self.embed(torch.cat([features.prefix, features.tokens], 1))
            return out
        tokens: Tensor = self.embed(features.tokens)
        return torch.cat([self.cls_token.to(tokens.dtype).expand(len(tokens), -1, -1), tokens], 1)

    def _mask_token(self) -> Tensor:
        if self.mask_token is None:
            raise ValueError(
                "Transformer: features: expected a token for every patch, as the encoder is dense, "
                "got fewer; set the encoder's hidden = 'drop'"
            )
        return self.mask_token


def _check_depth(depth: int, class_token: bool, qkv_init: str) -> None:
    if depth == 0 and (class_token or qkv_init != "joint"):
        raise ValueError(
            "Transformer: depth: expected 1 or more, as class_token and qkv_init = 'apart' act in "
            "its blocks, got 0; leave both out"
        )
