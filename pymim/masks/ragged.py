"""Blocks that hide as many patches as fit: a different number in every image."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from pymim.checks import ascending, given, positive, share, whole
from pymim.contracts import Draw, Grid, Mask
from pymim.errors import ConfigError
from pymim.masks.count import Rounding, visible_count
from pymim.ops import block as ops
from pymim.schedule import Schedule, at

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


class RaggedMask(Mask):
    """A mask whose counts differ between images.

    Rows of ids have the length of the longest possible one. A shorter row repeats its last id, at
    weight 0. Every image has at least one visible patch; it may have no hidden one.
    """

    def boolean(self, patches: int) -> Bool[Tensor, "B N"]:
        hidden = torch.ones(
            len(self.visible), patches, dtype=torch.bool, device=self.visible.device
        )
        return hidden.scatter_(1, self.visible, False)


class RaggedBlock:
    """Hide one block after another until none fits, at most a share `ratio`.

    (BEiT, Bao et al. 2022; MaskFeat, Wei et al. 2022; iBOT, Zhou et al. 2022.) For encoders that
    keep tokens of hidden patches; those that drop them need equal counts, which `Block` gives.
    Unlike iBOT's bound, which may be a fraction (58.8 of 196 patches), this one is a whole number,
    here 58: 57.4 patches are hidden on average, and 57.2 by the released loop.

    Args:
        ratio: the bound, as a share of the grid; a number, or a schedule over `steps`.
        rounding: how the ratio becomes a count; see `visible_count`.
        area: least and greatest patches of a block; None: no upper limit but the bound.
        aspect: least and greatest rows by columns of a block.
        duration: least and greatest frames of a block; None: any number.
        tries: blocks in a row that may fail to fit before the loop ends.
        mean: average the losses over the hidden patches of the batch, "patch" (BEiT, MaskFeat); or
            first over those of each image, "image" (iBOT, where an image without hidden patches
            counts as 0; here it does not count).
        steps: length of the run in steps, for the schedule.

    Raises:
        ValueError: an argument is out of range; when called, ConfigError if the ratio hides all
            patches.
    """

    ragged = True
    over_batch = "hidden patches are averaged over {}"

    def __init__(
        self,
        ratio: float | Schedule = 0.4,
        rounding: Rounding = "mask-floor",
        area: tuple[float, float | None] = (16, None),
        aspect: tuple[float, float] = (0.3, 1 / 0.3),
        duration: tuple[int, int] | None = None,
        tries: int = 10,
        mean: Literal["patch", "image"] = "patch",
        steps: int = 0,
    ):
        share(self, ratio=ratio)
        ascending(self, positive, area=area, aspect=aspect)
        ascending(self, whole, 1, **given(duration=duration))
        whole(self, 1, tries=tries)
        if mean not in ("patch", "image"):
            raise ValueError(
                f"RaggedBlock: mean: expected 'patch' or 'image', got {mean!r}; choose one of them"
            )
        self.ratio, self.rounding = ratio, rounding
        self.steps = steps
        self.area, self.aspect = area, aspect
        self.duration = duration
        self.tries, self.mean = tries, mean

    def __call__(
        self,
        index: Int[Tensor, " B"],
        grid: Grid,
        draw: Draw,
        difficulty: Float[Tensor, "B N"] | None = None,
    ) -> RaggedMask:
        patches = math.prod(grid)
        bound = patches - visible_count(
            patches, at(self.ratio, draw.step, self.steps), self.rounding
        )
        if bound == patches:
            raise ConfigError(
                f"RaggedBlock: ratio: expected one that leaves a patch visible, got {bound} of "
                f"{patches} hidden; lower it"
            )
        law = {
            "area": self.area,
            "aspect": self.aspect,
            "duration": self.duration,
            "tries": self.tries,
        }
        law |= draw._asdict()
        boolean, counts = ops.ragged_block(index, grid, bound, **law)  # type: ignore[arg-type]
        hidden, weight = _listed(boolean, counts, bound)
        visible, _ = _listed(~boolean, patches - counts, patches)
        if self.mean == "image":
            weight = weight / counts.clamp_min(1)[:, None]
        return RaggedMask(visible, hidden, hidden, weight)


def _listed(boolean: Tensor, counts: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Give the ids that are True [B length], ascending, and their weights.

    Rows repeat their last id to the common length, at weight 0.
    """
    order = boolean.to(torch.uint8).argsort(stable=True, dim=1, descending=True)
    places = torch.arange(length, device=boolean.device)
    last = (counts - 1).clamp_min(0)[:, None]
    return order.gather(1, torch.minimum(places, last)), (places < counts[:, None]).float()
