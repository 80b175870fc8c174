"""Convolutions one after another: AlexNet (Krizhevsky et al. 2012) and VGG (Simonyan & Zisserman 2015), with batch
norms, as deep clustering began with.

VGG's parameters bear timm's names, so that its checkpoints load as they are, the classifier left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from pymim.contracts import Encoder, Features, Grid, Mask
from pymim.layers.patch import sides

if TYPE_CHECKING:
    from jaxtyping import Float

POOLS = ("mean", "flat")


class Stacked(Encoder):
    """`layers` in order: (width, kernel, stride, padding) is a convolution with batch norm and ReLU, and
    (kernel, stride) a max pool. Tokens are the cells of the last map, row by row.

    Args:
        image: pixels of the views it is built for, rows and columns.
        pool: what `Features.pooled` is: the "mean" of the cells, or the last map "flat", all of it as one vector
            (AlexNet, VGG); views of another size than `image` are brought to its map by averaging.
    """

    prefix = 0
    hidden = "none"  # convolutions see every patch

    def __init__(
        self,
        layers: Sequence[Sequence[int]],
        image: int | tuple[int, int] = 224,
        channels: int = 3,
        pool: str = "flat",
    ):
        super().__init__()
        if pool not in POOLS:
            raise ValueError(f"Stacked: pool: expected one of {', '.join(POOLS)}, got {pool!r}; name one of them")
        self.channels, self.pool, self.layers = channels, pool, [tuple(layer) for layer in layers]
        parts, stride = list[nn.Module](), 1
        self.width = channels
        for layer in self.layers:
            parts += self._parts(layer)
            stride *= layer[-1] if len(layer) == 2 else layer[2]
        self.features = nn.Sequential(*parts)
        self.patch = sides(stride, 2)
        self.base = self.grid((1, channels, *sides(image, 2)))
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
                f"Stacked: view: expected {channels} channels, got {got}; set Stacked.channels = {got}"
            )
        image = self.features(view)
        tokens = image.flatten(2).mT
        flat = adaptive_avg_pool2d(image, (self.base[0], self.base[1])).flatten(1)
        return Features(tokens, tokens[:, :0], {}, tokens.mean(1) if self.pool == "mean" else flat, (image,))

    def grid(self, shape: Sequence[int]) -> Grid:
        """Rows and columns of the last map for a view [B C H W]."""
        grid = tuple(shape[2:])
        for layer in self.layers:
            kernel, stride, padding = (*layer, 0) if len(layer) == 2 else layer[1:]
            grid = tuple((side + 2 * padding - kernel) // stride + 1 for side in grid)
        if min(grid) < 1:
            raise ValueError(f"Stacked: view: expected larger sides, got {tuple(shape[2:])}; enlarge the views")
        return grid

    def _parts(self, layer: tuple[int, ...]) -> list[nn.Module]:
        if len(layer) == 2:
            return [nn.MaxPool2d(*layer)]
        before, (self.width, kernel, stride, padding) = self.width, layer
        return [nn.Conv2d(before, self.width, kernel, stride, padding), nn.BatchNorm2d(self.width), nn.ReLU()]
