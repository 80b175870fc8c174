"""Apply dense layers to the visible cells of a map alone (SparK, Tian et al. 2023; ConvNeXt V2, Woo
et al. 2023).

A sparse convolution is a dense one whose input and output are multiplied by the mask.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pymim.contracts import Grid, Mask
from pymim.layers.gather import gather
from pymim.layers.patch import cells

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


class Everywhere:
    """Let layers see every cell, as they do without a mask. `Active` lets them see some."""

    def keep(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        """Set hidden cells to 0: after a convolution or a pooling it makes them sparse."""
        return x

    def fill(self, x: Float[Tensor, "B C h w"], token: Tensor) -> Float[Tensor, "B C h w"]:
        """Put a token [1 C 1 1] into hidden cells."""
        return x

    def pack(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B n C"]:
        """List the visible cells of each map, for layers that treat cells apart."""
        return x.flatten(2).mT

    def unpack(self, rows: Float[Tensor, "B n C"], sides: Grid) -> Float[Tensor, "B C h w"]:
        """Put listed cells back into a map of these sides; hidden cells are 0."""
        maps: Tensor = rows.mT.unflatten(2, sides)
        return maps

    def norm(self, layer: nn.Module, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        """Normalise the visible cells: those alone enter a batch norm's statistics.

        The layer is an ordinary one, so several processes share its statistics as they do without
        masks. Hidden cells are 0.
        """
        out: Tensor = layer(x)
        return out


EVERYWHERE = Everywhere()


class Active(Everywhere):
    """Let layers see the cells of visible patches, on maps of any stride.

    A patch is one cell of the coarsest map, and k x k cells of a map whose sides are k times as
    long.

    Args:
        mask: its `visible` ids have equal counts over the batch.
        grid: rows and columns of the coarsest map.
    """

    def __init__(self, mask: Mask, grid: Grid):
        self.visible, self.grid = mask.visible, grid
        self.seen = ~mask.boolean(math.prod(grid))
        self._ids: dict[Grid, Tensor] = {}

    def at(self, sides: Grid) -> Bool[Tensor, "B 1 h w"]:
        """Give True at visible cells of a map of these sides.

        Raises:
            ValueError: the sides are no multiples of the grid's.
        """
        return cells(self.seen, self.grid, self._finer(sides))

    def ids(self, sides: Grid) -> Int[Tensor, "B n"]:
        """Give the numbers of visible cells in a map of these sides, patch by patch."""
        if sides not in self._ids:
            (rows, columns), (down, across) = self.grid, self._finer(sides)
            every = torch.arange(math.prod(sides), device=self.visible.device)
            every = every.view(rows, down, columns, across).transpose(1, 2).flatten(2)
            self._ids[sides] = every.flatten(0, 1)[self.visible].flatten(1)
        return self._ids[sides]

    def keep(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        return x * self.at(_sides(x)).to(x.dtype)

    def fill(self, x: Float[Tensor, "B C h w"], token: Tensor) -> Float[Tensor, "B C h w"]:
        return torch.where(self.at(_sides(x)), x, token.to(x.dtype))

    def pack(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B n C"]:
        return gather(x.flatten(2).mT, self.ids(_sides(x)))

    def unpack(self, rows: Float[Tensor, "B n C"], sides: Grid) -> Float[Tensor, "B C h w"]:
        images, count = len(rows), math.prod(sides)
        first = torch.arange(0, images * count, count, device=rows.device)[:, None]
        places = (self.ids(sides) + first).flatten()
        whole = rows.new_zeros(images * count, rows.shape[2])
        whole = whole.index_copy(0, places, rows.flatten(0, 1))
        maps: Tensor = whole.unflatten(0, (images, *sides))
        return maps.permute(0, 3, 1, 2)

    def norm(self, layer: nn.Module, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        rows = self.pack(x)
        # One picture, whose rows are the cells: in channels last this is no copy.
        normed: Tensor = layer(rows.flatten(0, 1).mT[None, :, :, None])
        out = self.unpack(normed[0, :, :, 0].mT.unflatten(0, rows.shape[:2]), _sides(x))
        # A map in torch's usual order stays so: an encoder may need it (`encoders.resnet.NARROW`).
        return out.contiguous() if x.is_contiguous() else out

    def _finer(self, sides: Grid) -> Grid:
        """Give how many cells per patch a map of these sides has, by axis."""
        if len(sides) != len(self.grid) or any(
            side % cells for side, cells in zip(sides, self.grid, strict=True)
        ):
            raise ValueError(
                f"Active: sides: expected multiples of the grid {self.grid}, got {sides}; "
                "give views sides that the encoder's patch divides"
            )
        return tuple(side // cells for side, cells in zip(sides, self.grid, strict=True))


def _sides(x: Tensor) -> Grid:
    return tuple(x.shape[2:])
