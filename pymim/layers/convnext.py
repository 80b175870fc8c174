"""The block of ConvNeXt V2, on every cell of a map or on the visible ones.

Liu et al. 2022; Woo et al. 2023.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pymim.layers.sparse import EVERYWHERE, Active, Everywhere

if TYPE_CHECKING:
    from jaxtyping import Float

GRN = ("image", "batch", "none")


class ResponseNorm(nn.Module):
    """Give weight (x n) + bias + x, where n of a channel is its length over the cells of a picture,
    divided by the mean of these lengths over channels (GRN, Woo et al. 2023).

    At the start weight and bias are 0.

    Args:
        width: number of channels.
        batch: take lengths over the visible cells of all pictures of a batch, of one process, where
            a mask hides some, as the release in PyTorch does. Without a mask, and by default, they
            are of each picture, as in the release's JAX model.
    """

    def __init__(self, width: int, batch: bool = False):
        super().__init__()
        self.batch = batch
        self.weight, self.bias = (nn.Parameter(torch.zeros(width)) for _ in range(2))

    @property
    def over_batch(self) -> str:
        """How pictures of a batch meet: their cells have one length."""
        return "responses are normalised over {}" if self.batch else ""

    def forward(self, rows: Float[Tensor, "B n C"], masked: bool) -> Float[Tensor, "B n C"]:
        # Decided: over each picture, so that fine-tuning, which has no mask, computes the same.
        cells = (0, 1) if self.batch and masked else (1,)
        wide = torch.promote_types(rows.dtype, torch.float32)
        lengths = torch.linalg.vector_norm(rows, dim=cells, keepdim=True, dtype=wide)
        share = lengths / (lengths.mean(-1, keepdim=True) + 1e-6)
        out: Tensor = self.weight * (rows * share.to(rows.dtype)) + self.bias + rows
        return out


class Responses(nn.Module):
    """Map each cell to four times its width and back, with GELU and a response norm between.

    Args:
        dim: width.
        grn: "image", "batch" or "none"; see `ResponseNorm`.
    """

    def __init__(self, dim: int, grn: str):
        super().__init__()
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.grn = None if grn == "none" else ResponseNorm(4 * dim, grn == "batch")
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, rows: Float[Tensor, "B n C"], masked: bool) -> Float[Tensor, "B n C"]:
        inner = nn.functional.gelu(self.fc1(rows))
        out: Tensor = self.fc2(inner if self.grn is None else self.grn(inner, masked))
        return out


class ConvBlock(nn.Module):
    """Add f(x) to x: f is a 7 x 7 convolution of each channel, a norm of each cell, and
    `Responses`.

    All but the convolution is computed for visible cells alone. Names of parameters are timm's.

    Args:
        dim: width.
        grn: "image", "batch" or "none"; see `ResponseNorm`.
        layer_scale: start of a learned factor of f, one for each channel (ConvNeXt: 1e-6); None: no
            factor (ConvNeXt V2).
    """

    def __init__(self, dim: int, grn: str = "image", layer_scale: float | None = None):
        super().__init__()
        self.conv_dw = nn.Conv2d(dim, dim, 7, padding=3, groups=dim)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Responses(dim, grn)
        factor = None if layer_scale is None else torch.full((dim,), layer_scale)
        self.gamma = None if factor is None else nn.Parameter(factor)

    def forward(
        self, x: Float[Tensor, "B C h w"], seen: Everywhere = EVERYWHERE
    ) -> Float[Tensor, "B C h w"]:
        rows = self.mlp(self.norm(seen.pack(self.conv_dw(x))), isinstance(seen, Active))
        rows = rows if self.gamma is None else rows * self.gamma
        return x + seen.unpack(rows, tuple(x.shape[2:]))


def init_convs(module: nn.Module) -> None:
    """Set normal weights of deviation 0.02, cut at 2, and zero biases, as ConvNeXt's start."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.trunc_normal_(part.weight, std=0.02)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
