"""A convolutional decoder that begins at the coarsest map and takes in finer ones (SparK, Tian et
al. 2023).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pymim.checks import given, whole
from pymim.contracts import Encoder, Features, Grid, Mask, Predictor
from pymim.layers.gather import gather
from pymim.layers.norms import NORMS
from pymim.layers.patch import patchify
from pymim.layers.sparse import EVERYWHERE, Active, Everywhere

if TYPE_CHECKING:
    from jaxtyping import Float


class Pyramid(Predictor):
    """Fill the hidden cells of the encoder's maps with learned tokens, and predict pixels by a
    U-Net decoder.

    Each of log2(patch) blocks doubles the sides and halves the width. The input of a block is the
    output of the block before it plus the encoder's map of these sides, made dense: a norm over
    visible cells, the map's token in hidden cells, a convolution (1 x 1 of the coarsest map, 3 x 3
    of the others). The last output has the view's sides; a 1 x 1 convolution gives the pixels.

    A map with the sides of the view has no block behind it and is not taken in, as in the released
    code.

    Args:
        encoder: the method's encoder; it gives `Features.pyramid`.
        width: width T of the target: so many values for each pixel of a patch.
        dim: width of the coarsest map in the decoder; a multiple of 2^blocks.
        maps: how many of the encoder's maps are taken in, the coarsest first; None: all. 1 is the
            paper's ablation without a hierarchy.
        norm: of the encoder's maps: "batch" (of a ResNet) or "layer" (of a ConvNeXt).

    Raises:
        ValueError: an argument is out of range, or the encoder has no maps that halve down to a
            square patch of 2, 4, 8, ... pixels.
    """

    reads = "mask"

    def __init__(
        self,
        encoder: Encoder,
        width: int,
        dim: int = 768,
        maps: int | None = None,
        norm: str = "batch",
    ):
        super().__init__()
        blocks = _blocks(encoder)
        most = min(blocks, len(encoder.widths))
        whole(self, 1, most, **given(maps=maps))
        whole(self, 1, dim=dim)
        _check_sizes(encoder, width, dim, blocks)
        if norm not in NORMS:
            raise ValueError(
                f"Pyramid: norm: expected one of {', '.join(NORMS)}, got {norm!r}; name one of them"
            )
        taken = [*reversed(encoder.widths)][: most if maps is None else maps]
        dims = [dim // 2**number for number in range(blocks + 1)]
        self.patch = encoder.patch
        self.norms = nn.ModuleList(NORMS[norm](before) for before in taken)
        self.mask_tokens = nn.ParameterList(_token(before) for before in taken)
        self.joins = nn.ModuleList(
            _join(before, after, coarsest=number == 0)
            for number, (before, after) in enumerate(zip(taken, dims, strict=False))
        )
        self.blocks = nn.ModuleList(Doubling(*dims[at : at + 2]) for at in range(blocks))
        self.head = nn.Conv2d(dims[-1], width // math.prod(encoder.patch), 1)
        _init(self.blocks, self.head)

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
        out: Tensor | float = 0.0
        for number, block in enumerate(self.blocks):
            if number < len(self.norms):
                out = out + self._dense(number, features.pyramid[-1 - number], seen)
            out = block(out)
        return patchify(self.head(out), self.patch, last=True)

    def _dense(self, number: int, level: Tensor, seen: Everywhere) -> Tensor:
        normed = seen.norm(self.norms[number], level)
        joined: Tensor = self.joins[number](seen.fill(normed, self.mask_tokens[number]))
        return joined


class Doubling(nn.Module):
    """Double the sides of a map by a transposed convolution, then halve its width by two 3 x 3
    convolutions with batch norms.

    Args:
        before: width of the input.
        after: width of the output.
    """

    def __init__(self, before: int, after: int):
        super().__init__()
        self.up = nn.ConvTranspose2d(before, before, 4, 2, 1)
        self.conv1 = nn.Conv2d(before, before, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(before)
        self.conv2 = nn.Conv2d(before, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B D 2h 2w"]:
        inner = nn.functional.relu6(self.bn1(self.conv1(self.up(x))))
        out: Tensor = self.bn2(self.conv2(inner))
        return out


def _token(width: int) -> nn.Parameter:
    """Make a token from a normal distribution of deviation 0.02, cut there (as released)."""
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(1, width, 1, 1), 0, 0.02, -0.02, 0.02))


def _join(before: int, after: int, coarsest: bool) -> nn.Module:
    if coarsest:
        return nn.Identity() if before == after else nn.Conv2d(before, after, 1)
    return nn.Conv2d(before, after, 3, padding=1)


def _init(*parts: nn.Module) -> None:
    """Start the decoder as released; convolutions that join maps to it start as torch's do."""
    for part in (module for each in parts for module in each.modules()):
        if isinstance(part, nn.ConvTranspose2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(part, nn.Conv2d):
            nn.init.trunc_normal_(part.weight, std=0.02)
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d) and part.bias is not None:
            nn.init.zeros_(part.bias)


def _blocks(encoder: Encoder) -> int:
    """Count the doublings from the coarsest map to the view."""
    kind, patch = type(encoder).__name__, encoder.patch
    if not encoder.widths:
        raise ValueError(
            f"Pyramid: encoder: expected one with maps (Encoder.widths), got {kind}, which has "
            "none; encode with a ResNet, leave tap out, or predict with a Transformer"
        )
    if len(patch) != 2 or patch[0] != patch[1] or patch[0] < 2 or patch[0] & (patch[0] - 1):
        raise ValueError(
            f"Pyramid: encoder: expected square patches of 2, 4, 8, ... pixels, got {patch} of "
            f"{kind}; change its stages or its stem"
        )
    return patch[0].bit_length() - 1


def _check_sizes(encoder: Encoder, width: int, dim: int, blocks: int) -> None:
    if dim % 2**blocks:
        raise ValueError(
            f"Pyramid: dim: expected a multiple of {2**blocks}, as {blocks} blocks halve it, got "
            f"{dim}; change it"
        )
    pixels = math.prod(encoder.patch)
    if width % pixels:
        raise ValueError(
            f"Pyramid: width: expected a multiple of the {pixels} pixels of a patch, got {width}; "
            "predict targets.Pixels, or take another predictor"
        )
