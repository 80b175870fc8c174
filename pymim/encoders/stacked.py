"""Convolutions one after another, with batch norms: the encoders that deep clustering began with.

AlexNet (Krizhevsky et al. 2012) and VGG (Simonyan & Zisserman 2015). VGG's parameters have timm's
names, so its checkpoints load without changes, except the classifier.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from pymim.checks import whole
from pymim.contracts import Encoder, Features, Grid, Mask
from pymim.encoders.ended import Ended
from pymim.layers.patch import sides

if TYPE_CHECKING:
    from jaxtyping import Float

POOLS = ("mean", "flat")


class Window(NamedTuple):
    """The window of a convolution or a max pool, in pixels per side."""

    kernel: int
    stride: int
    padding: int = 0

    @classmethod
    def of(cls, layer: Sequence[int]) -> Window:
        """Give the window of (width, kernel, stride, padding), or of (kernel, stride)."""
        return cls(*layer) if len(layer) == 2 else cls(*layer[1:])


class Stacked(Encoder):
    """Run `layers` in order; tokens [B N D] are the cells of the last map in raster order.

    Args:
        layers: each (width, kernel, stride, padding), a convolution with batch norm and ReLU; or
            (kernel, stride), a max pool.
        image: pixels per side of the usual views, one number or (rows, columns).
        channels: channels of a view.
        pool: what `Features.pooled` is: "mean", of the cells; or "flat", the whole last map as one
            vector (AlexNet, VGG). For views of another size than `image` the map is averaged to the
            usual size.
        taps: layers to keep, from 1, as tokens [B h w, D of the layer].

    Raises:
        ValueError: a choice or a size is out of range; when called: a view with other channels, or
            too small.
    """

    prefix = 0
    hidden = "none"  # convolutions see every patch

    def __init__(
        self,
        layers: Sequence[Sequence[int]],
        image: int | tuple[int, int] = 224,
        channels: int = 3,
        pool: str = "flat",
        taps: Sequence[int] = (),
    ):
        super().__init__()
        whole(self, 1, len(layers), taps=taps)
        whole(self, 0, layers=[size for layer in layers for size in layer])
        whole(self, 1, image=image, channels=channels)
        if pool not in POOLS:
            raise ValueError(
                f"Stacked: pool: expected one of {', '.join(POOLS)}, got {pool!r}; name one of them"
            )
        self.channels, self.pool = channels, pool
        self.layers = [tuple(layer) for layer in layers]
        self.taps, self.image = tuple(taps), sides(image, 2)
        parts, self.width = list[nn.Module](), channels
        self._ends: list[int] = []  # number of parts up to the end of each layer
        for layer in self.layers:
            parts += self._parts(layer)
            self._ends.append(len(parts))
        self.features, self.widths = nn.Sequential(*parts), (self.width,)
        self.patch, self.base = self._stride(self.layers), self._grid(self.image, self.layers)
        for part in parts:
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")

    @property
    def embedding(self) -> int:
        return self.width if self.pool == "mean" else self.width * self.base[0] * self.base[1]

    def forward(self, view: Float[Tensor, "B C H W"], mask: Mask | None = None) -> Features:
        if view.shape[1] != self.channels:
            got, channels = view.shape[1], self.channels
            raise ValueError(
                f"Stacked: view: expected {channels} channels, got {got}; "
                f"set Stacked.channels = {got}"
            )
        image, taps = view, dict[int, Tensor]()
        for number, part in enumerate(self.features, 1):
            image = part(image)
            if number in self._ends and (layer := self._ends.index(number) + 1) in self.taps:
                taps[layer] = image.flatten(2).mT
        tokens = image.flatten(2).mT
        flat = adaptive_avg_pool2d(image, (self.base[0], self.base[1])).flatten(1)
        return Features(
            tokens, tokens[:, :0], taps, tokens.mean(1) if self.pool == "mean" else flat, (image,)
        )

    def grid(self, shape: Sequence[int]) -> Grid:
        """Give rows and columns of the last map for a view [B C H W]."""
        return self._grid(shape[2:], self.layers)

    def ended(self, tap: int) -> Encoder:
        """Give the sizes of layer `tap`."""
        layers = self.layers[:tap]
        width = next((layer[0] for layer in reversed(layers) if len(layer) > 2), self.channels)
        return Ended(self, width, self._stride(layers), self._grid(self.image, layers))

    @staticmethod
    def _stride(layers: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
        return sides(math.prod(Window.of(layer).stride for layer in layers), 2)

    @staticmethod
    def _grid(shape: Sequence[int], layers: Sequence[tuple[int, ...]]) -> Grid:
        grid = tuple(shape)
        for layer in layers:
            window = Window.of(layer)
            extra = 2 * window.padding - window.kernel
            grid = tuple((side + extra) // window.stride + 1 for side in grid)
        if min(grid) < 1:
            raise ValueError(
                f"Stacked: view: expected larger sides, got {tuple(shape)}; enlarge the views"
            )
        return grid

    def _parts(self, layer: tuple[int, ...]) -> list[nn.Module]:
        window = Window.of(layer)
        if len(layer) == 2:
            return [nn.MaxPool2d(window.kernel, window.stride)]
        before, self.width = self.width, layer[0]
        return [
            nn.Conv2d(before, self.width, *window),
            nn.BatchNorm2d(self.width),
            nn.ReLU(),
        ]
