"""ConvNeXt and ConvNeXt V2 (Liu et al. 2022; Woo et al. 2023).

Parameters have timm's names; there is no last layer `head.fc`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from pymim.checks import given, positive, whole
from pymim.contracts import Encoder, Features, Grid, Mask
from pymim.encoders.ended import Ended
from pymim.layers.convnext import GRN, ConvBlock, init_convs
from pymim.layers.norms import ChannelNorm
from pymim.layers.patch import patch_grid, sides
from pymim.layers.sparse import EVERYWHERE, Active, Everywhere

if TYPE_CHECKING:
    from jaxtyping import Float

HIDDEN = ("none", "sparse")


class ConvNeXt(Encoder):
    """Run a stem, then stages of blocks; each stage after the first halves the sides and doubles
    the width.

    Tokens [B N D] are the cells of the last stage's map in raster order. `pooled` is a norm of
    their mean (of visible ones under a mask), `pyramid` has the maps of all stages, and `taps` the
    maps of chosen stages as tokens.

    Sizes (depths, dim): atto (2, 2, 6, 2), 40; femto 48; pico 64; nano (2, 2, 8, 2), 80; tiny (3,
    3, 9, 3), 96; base (3, 3, 27, 3), 128; large 192; huge 352.

    Args:
        depths: blocks per stage.
        dim: width of the first stage.
        stem: pixels per side of a cell of the first stage.
        grn: response norms, ConvNeXt V2's: "image", "batch" (as its release in PyTorch under a
            mask) or "none" (ConvNeXt); see `layers.convnext.ResponseNorm`.
        layer_scale: ConvNeXt's learned factor of each block, such as 1e-6; None: no factor.
        image: pixels per side of the usual views, one number or (rows, columns). Views of other
            sizes work too.
        channels: channels of a view.
        taps: stages to keep, from 1.
        hidden: "none", the encoder takes no mask; or "sparse", hidden cells are 0 on every map.

    Raises:
        ValueError: a choice or a size is out of range; when called: a mask with hidden = "none", a
            view with other channels, or with sides that `patch` does not divide.
    """

    prefix = 0

    def __init__(
        self,
        depths: Sequence[int] = (3, 3, 9, 3),
        dim: int = 96,
        stem: int = 4,
        grn: str = "image",
        layer_scale: float | None = None,
        image: int | tuple[int, int] = 224,
        channels: int = 3,
        taps: Sequence[int] = (),
        hidden: str = "none",
    ):
        super().__init__()
        whole(self, 1, len(depths), taps=taps)
        whole(self, 1, depths=depths, dim=dim, stem=stem, image=image, channels=channels)
        positive(self, **given(layer_scale=layer_scale))
        _check_choice("grn", grn, GRN)
        _check_choice("hidden", hidden, HIDDEN)
        self.widths = tuple(dim * 2**stage for stage in range(len(depths)))
        self.channels, self.width = channels, self.widths[-1]
        self.taps, self.hidden = tuple(taps), hidden
        self.patch, self.image = sides(stem * 2 ** (len(depths) - 1), 2), sides(image, 2)
        self.base = self.grid((1, channels, *self.image))
        self.stem = nn.Sequential(nn.Conv2d(channels, dim, stem, stem), ChannelNorm(dim))
        befores = (None, *self.widths)
        self.stages = nn.ModuleList(
            Stage(before, width, depth, grn, layer_scale)
            for before, width, depth in zip(befores, self.widths, depths, strict=False)
        )
        self.head = nn.ModuleDict({"norm": nn.LayerNorm(self.width, eps=1e-6)})
        init_convs(self)

    def forward(self, view: Float[Tensor, "B C H W"], mask: Mask | None = None) -> Features:
        if mask is not None and self.hidden == "none":
            raise ValueError(
                "ConvNeXt: mask: expected None, as convolutions see every patch, got a mask; "
                "set mask = None, or ConvNeXt.hidden = 'sparse'"
            )
        if view.shape[1] != self.channels:
            got, channels = view.shape[1], self.channels
            raise ValueError(
                f"ConvNeXt: view: expected {channels} channels, got {got}; "
                f"set ConvNeXt.channels = {got}"
            )
        grid = self.grid(view.shape)  # refuses sides that strides would cut off
        seen = EVERYWHERE if mask is None else Active(mask, grid)
        conv, norm = self.stem
        image, pyramid = seen.norm(norm, conv(view)), list[Tensor]()
        for stage in self.stages:
            image = stage(image, seen)
            pyramid.append(image)
        tokens = image.flatten(2).mT
        taps = {number: pyramid[number - 1].flatten(2).mT for number in self.taps}
        pooled = self.head["norm"](seen.pack(image).mean(1))
        return Features(tokens, tokens[:, :0], taps, pooled, tuple(pyramid))

    @property
    def blocks(self) -> list[nn.Module]:
        """Give the blocks in order, for recomputation in the backward pass."""
        return [
            block for stage in self.stages for block in stage.get_submodule("blocks").children()
        ]

    def ended(self, tap: int) -> Encoder:
        """Give the sizes of stage `tap`."""
        finer = 2 ** (len(self.stages) - tap)
        base = tuple(cells * finer for cells in self.base)
        patch = tuple(side // finer for side in self.patch)
        return Ended(self, self.widths[tap - 1], patch, base)

    def grid(self, shape: Sequence[int]) -> Grid:
        """Give rows and columns of the last map for a view [B C H W]."""
        return patch_grid(tuple(shape), self.patch)


class Stage(nn.Module):
    """Halve the sides by a norm and a 2 x 2 convolution, in all stages but the first; then run the
    blocks.

    Args:
        before: width of the input; None in the first stage.
        width: width of the output.
        depth: number of blocks.
        grn: of the blocks.
        layer_scale: of the blocks.
    """

    def __init__(
        self, before: int | None, width: int, depth: int, grn: str, layer_scale: float | None
    ):
        super().__init__()
        halving = None if before is None else (ChannelNorm(before), nn.Conv2d(before, width, 2, 2))
        self.downsample = None if halving is None else nn.Sequential(*halving)
        self.blocks = nn.ModuleList(ConvBlock(width, grn, layer_scale) for _ in range(depth))

    def forward(self, x: Float[Tensor, "B C h w"], seen: Everywhere) -> Tensor:
        if self.downsample is not None:
            norm, conv = self.downsample
            x = seen.keep(conv(seen.norm(norm, x)))
        for block in self.blocks:
            x = block(x, seen)
        return x


def _check_choice(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ValueError(
            f"ConvNeXt: {name}: expected one of {', '.join(known)}, got {value!r}; name one of them"
        )
