"""The residual network (He et al. 2016), with the stride in a bottleneck's 3 x 3 convolution.

That is the usual variant today. Parameters have timm's names, so its checkpoints load without
changes, except the last layer `fc`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pymim.checks import whole
from pymim.contracts import Encoder, Features, Grid, Mask
from pymim.encoders.ended import Ended
from pymim.layers.patch import cells, patch_grid, sides
from pymim.layers.sparse import EVERYWHERE, Active, Everywhere

if TYPE_CHECKING:
    from jaxtyping import Float

STEMS = {"image": 4, "small": 1}  # each divides the sides by this factor
CONVS = {False: (3, 3), True: (1, 3, 1)}  # kernel sizes of a plain block and of a bottleneck
# Channels last is faster, on CPUs and GPUs. But oneDNN 3.12 then writes out of bounds in the
# backward pass of a strided 1 x 1 convolution with fewer channels than a register holds
# (uxlfoundation/oneDNN issue 6035).
NARROW = 16
EXPANSION = 4  # a bottleneck's output width over its inner width


class ResNet(Encoder):
    """Run a stem, then four stages of residual blocks; each stage after the first halves the sides
    and doubles the width.

    Tokens [B N D] are the cells of the last stage's map in raster order. `pooled` is their mean,
    `pyramid` has the maps of all stages, and `taps` the maps of chosen stages as tokens [B h w, D
    of the stage].

    Args:
        depths: blocks per stage: (2, 2, 2, 2) and (3, 4, 6, 3) are 18 and 34 layers; the latter
            with bottlenecks is 50.
        dim: width inside the first stage's blocks.
        bottleneck: build blocks of 1 x 1, 3 x 3, 1 x 1 convolutions, four times as wide outside as
            inside.
        stem: "image", a 7 x 7 convolution and a pooling, of stride 2 each; or "small", a 3 x 3
            convolution of stride 1, for pictures of about 32 pixels.
        image: pixels per side of the usual views, one number or (rows, columns). Views of other
            sizes work too.
        channels: channels of a view.
        taps: stages to keep, from 1.
        hidden: "none", the encoder takes no mask; "add", a learned token is added to the hidden
            cells of the map of stage `at` (A2MIM, Li et al. 2023), whose pixels are seen, unless
            `Altered` changes them; or "sparse", hidden cells are 0 on every map, and batch norms
            are over visible cells alone (SparK, Tian et al. 2023).
        at: the stage that gets the token, from 1 (A2MIM: 3).

    Raises:
        ValueError: a choice or a size is out of range; when called: a mask with hidden = "none", a
            view with other channels, or, under a mask of hidden = "sparse", with sides that `patch`
            does not divide.
    """

    prefix = 0

    def __init__(
        self,
        depths: Sequence[int] = (2, 2, 2, 2),
        dim: int = 64,
        bottleneck: bool = False,
        stem: str = "image",
        image: int | tuple[int, int] = 224,
        channels: int = 3,
        taps: Sequence[int] = (),
        hidden: str = "none",
        at: int = 3,
    ):
        super().__init__()
        whole(self, 1, len(depths), taps=taps)
        whole(self, 1, depths=depths, dim=dim, image=image, channels=channels)
        _check_hidden(hidden, at, len(depths))
        if stem not in STEMS:
            raise ValueError(
                f"ResNet: stem: expected one of {', '.join(STEMS)}, got {stem!r}; name one of them"
            )
        expansion = EXPANSION if bottleneck else 1
        widths = [dim * 2**stage for stage in range(len(depths))]
        self.channels, self.width = channels, widths[-1] * expansion
        self.taps = tuple(taps)
        self.layout = torch.channels_last if dim >= NARROW else torch.contiguous_format
        self.patch = sides(STEMS[stem] * 2 ** (len(depths) - 1), 2)
        self.image = sides(image, 2)
        self.base = self.grid((1, channels, *self.image))
        kernel, stride = (7, 2) if stem == "image" else (3, 1)
        self.conv1 = nn.Conv2d(channels, dim, kernel, stride, kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(dim)
        self.maxpool = nn.MaxPool2d(3, 2, 1) if stem == "image" else nn.Identity()
        before = dim
        for number, (depth, inside) in enumerate(zip(depths, widths, strict=True), 1):
            strides = [2 if number > 1 else 1] + [1] * (depth - 1)
            ends = [before] + [inside * expansion] * depth
            blocks = [
                ResidualBlock(ends[k], inside, ends[k + 1], strides[k], bottleneck)
                for k in range(depth)
            ]
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
            before = ends[-1]
        self.stages, self.hidden = len(depths), hidden
        self.at = at
        masked = (
            torch.empty(1, widths[at - 1] * expansion, 1, 1).normal_(std=0.02)
            if hidden == "add"
            else None
        )
        self.mask_token = None if masked is None else nn.Parameter(masked)
        self.widths = tuple(width * expansion for width in widths)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, view: Float[Tensor, "B C H W"], mask: Mask | None = None) -> Features:
        if mask is not None and self.hidden == "none":
            raise ValueError(
                "ResNet: mask: expected None, as convolutions see every patch, got a mask; "
                "set mask = None, or ResNet.hidden = 'sparse' or 'add'"
            )
        if view.shape[1] != self.channels:
            got, channels = view.shape[1], self.channels
            raise ValueError(
                f"ResNet: view: expected {channels} channels, got {got}; "
                f"set ResNet.channels = {got}"
            )
        seen = EVERYWHERE
        if mask is not None and self.hidden == "sparse":
            seen = Active(mask, patch_grid(tuple(view.shape), self.patch))
        image = seen.keep(view.contiguous(memory_format=self.layout))
        image = seen.norm(self.bn1, seen.keep(self.conv1(image))).relu()
        image = seen.keep(self.maxpool(image))
        pyramid: list[Tensor] = []
        for number in range(1, self.stages + 1):
            for block in self._stage(number):
                image = block(image, seen)
            if mask is not None and self.hidden == "add" and number == self.at:
                image = self._add(image, mask, self.grid(view.shape))
            pyramid.append(image)
        tokens = _tokens(image)
        taps = {number: _tokens(pyramid[number - 1]) for number in self.taps}
        return Features(tokens, tokens[:, :0], taps, seen.pack(image).mean(1), tuple(pyramid))

    @property
    def blocks(self) -> list[ResidualBlock]:
        """Give the residual blocks in order, for recomputation in the backward pass."""
        return [block for number in range(1, self.stages + 1) for block in self._stage(number)]

    def _stage(self, number: int) -> list[ResidualBlock]:
        layer = self.get_submodule(f"layer{number}")
        return [block for block in layer.children() if isinstance(block, ResidualBlock)]

    def ended(self, tap: int) -> Encoder:
        """Give the sizes of stage `tap`."""
        finer = 2 ** (self.stages - tap)
        patch = tuple(side // finer for side in self.patch)
        base = tuple(
            math.ceil(side / stride) for side, stride in zip(self.image, patch, strict=True)
        )
        return Ended(self, self.widths[tap - 1], patch, base)

    def _add(self, image: Tensor, mask: Mask, grid: Grid) -> Tensor:
        """Add the learned token to the cells of hidden patches."""
        assert self.mask_token is not None
        finer = 2 ** (self.stages - self.at)
        hidden = cells(mask.boolean(grid[0] * grid[1]), grid, (finer, finer))
        return image + hidden[..., : image.shape[2], : image.shape[3]] * self.mask_token

    def grid(self, shape: Sequence[int]) -> Grid:
        """Give rows and columns of the last map for a view [B C H W]; sides may be any number."""
        return tuple(
            math.ceil(side / stride) for side, stride in zip(shape[2:], self.patch, strict=True)
        )


class ResidualBlock(nn.Module):
    """Compute relu(x + f(x)): f is two 3 x 3 convolutions, or a bottleneck of three, each with
    batch norm.

    Where width or stride change, x goes through a 1 x 1 convolution and a batch norm.
    """

    downsample: nn.Sequential | None

    def __init__(self, before: int, inside: int, after: int, stride: int, bottleneck: bool):
        super().__init__()
        kernels = CONVS[bottleneck]
        ends = [before] + [inside] * (len(kernels) - 1) + [after]
        self.depth = len(kernels)
        strided = 2 if bottleneck else 1
        for number, kernel in enumerate(kernels, 1):
            step = stride if number == strided else 1
            conv = nn.Conv2d(ends[number - 1], ends[number], kernel, step, kernel // 2, bias=False)
            self.add_module(f"conv{number}", conv)
            self.add_module(f"bn{number}", nn.BatchNorm2d(ends[number]))
        changes = stride != 1 or before != after
        shortcut = (nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
        self.downsample = nn.Sequential(*shortcut) if changes else None

    def forward(
        self, x: Float[Tensor, "B C H W"], seen: Everywhere = EVERYWHERE
    ) -> Float[Tensor, "B D h w"]:
        out = x
        for number in range(1, self.depth + 1):
            conv, norm = (self.get_submodule(f"{kind}{number}") for kind in ("conv", "bn"))
            out = seen.norm(norm, seen.keep(conv(out)))
            out = out.relu() if number < self.depth else out
        if self.downsample is not None:
            conv, norm = self.downsample
            x = seen.norm(norm, seen.keep(conv(x)))
        added: Tensor = out + x
        return added.relu()


def _check_hidden(hidden: str, at: int, stages: int) -> None:
    if hidden not in ("none", "add", "sparse"):
        raise ValueError(
            f"ResNet: hidden: expected one of none, add, sparse, got {hidden!r}; "
            "name one of them, or drop patches with a ViT"
        )
    if hidden == "add" and not 1 <= at <= stages:
        raise ValueError(f"ResNet: at: expected a stage from 1 to {stages}, got {at}; set one")


def _tokens(image: Float[Tensor, "B D h w"]) -> Float[Tensor, "B N D"]:
    return image.flatten(2).mT
