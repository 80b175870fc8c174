"""What a mask is: three lists of patch ids, and the name of the draw that made them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch
from torch import Tensor

from pymim.ops import grid as ops

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

Grid = tuple[int, ...]  # (rows, columns) or (frames, rows, columns), in patches


class Draw(NamedTuple):
    """Names one draw of masks: with the dataset index of an image it decides every bit of its mask."""

    seed: int
    step: int
    view: int = 0


class Mask(NamedTuple):
    """Ids ascend, and counts are equal over the batch. Predicted ids are the hidden ones that are asked for."""

    visible: Int[Tensor, "B V"]
    hidden: Int[Tensor, "B H"]
    predicted: Int[Tensor, "B M"]

    def boolean(self, patches: int) -> Bool[Tensor, "B N"]:
        """True where a patch is hidden."""
        hidden = torch.zeros(len(self.hidden), patches, dtype=torch.bool, device=self.hidden.device)
        return hidden.scatter_(1, self.hidden, True)


class Policy(Protocol):
    """Decides which patches are hidden: a pure function of its arguments, the same on every device."""

    def __call__(
        self, index: Int[Tensor, " B"], grid: Grid, draw: Draw, difficulty: Float[Tensor, "B N"] | None = None
    ) -> Mask: ...


def hide(mask: ops.Mask) -> Mask:
    """The op's mask, with every hidden patch predicted."""
    return Mask(mask.visible, mask.hidden, mask.hidden)
