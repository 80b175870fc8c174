"""Convolutional blocks over the encoder's last map, with a token in hidden cells (ConvNeXt V2, Woo
et al. 2023).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pymim.checks import whole
from pymim.contracts import Encoder, Features, Grid, Mask, Predictor
from pymim.layers.convnext import ConvBlock, init_convs
from pymim.layers.gather import gather
from pymim.layers.sparse import EVERYWHERE, Active

if TYPE_CHECKING:
    from jaxtyping import Float


class Convolved(Predictor):
    """Map the encoder's tokens to `dim`, put one learned token into all hidden cells, and run
    `depth` blocks of ConvNeXt V2 over the whole map.

    Args:
        encoder: the method's encoder; it keeps hidden patches, so that its tokens are a map.
        width: width T of the target.
        dim: width of the map.
        depth: number of blocks.

    Raises:
        ValueError: a size is out of range, or the encoder drops hidden patches or sees clips.
    """

    reads = "mask"

    def __init__(self, encoder: Encoder, width: int, dim: int = 512, depth: int = 1):
        super().__init__()
        whole(self, 1, dim=dim, depth=depth)
        if not encoder.dense or len(encoder.patch) != 2:
            kind = type(encoder).__name__
            got = f"clips of {kind}" if encoder.dense else f"{kind}, which drops hidden patches"
            raise ValueError(
                f"Convolved: encoder: expected tokens of all patches of an image, got {got}; "
                "encode with a ConvNeXt or a ResNet, or predict with a Transformer"
            )
        self.embed = nn.Conv2d(encoder.width, dim, 1)
        self.mask_token = nn.Parameter(torch.empty(1, dim, 1, 1))
        self.blocks = nn.ModuleList(ConvBlock(dim) for _ in range(depth))
        self.head = nn.Conv2d(dim, width, 1)
        init_convs(self)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(self, features: Features, mask: Mask | None, grid: Grid) -> Float[Tensor, "B M T"]:
        values = self.predict_all(features, mask, grid)
        return values if mask is None else gather(values, mask.predicted)

    def predict_all(
        self, features: Features, mask: Mask | None, grid: Grid
    ) -> Float[Tensor, "B N T"]:
        """Predict every patch in raster order. If the loss is on hidden ones, the others are
        untrained.
        """
        seen = EVERYWHERE if mask is None else Active(mask, grid)
        out = seen.fill(self.embed(features.tokens.mT.unflatten(2, grid)), self.mask_token)
        for block in self.blocks:
            out = block(out)
        values: Tensor = self.head(out).flatten(2).mT
        return values
