"""One mask for all frames of a clip."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import Tensor

from pymim.contracts import Draw, Grid, Mask, Policy
from pymim.masks.convert import one_mask, predict_hidden
from pymim.ops import mask as ops

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Repeated:
    """Repeat another policy's mask of one frame in every frame: it hides tubes.

    The difficulty of a place is the mean over its tube. HPM for video has no released code. Ranked
    one by one, patches of a tube would separate, and a patch hidden in one frame could be copied
    from the next. So whole tubes are ranked here, at every share.

    Args:
        policy: the policy that masks one frame (rows, columns).
    """

    def __init__(self, policy: Policy):
        self.policy = policy

    def __call__(
        self,
        index: Int[Tensor, " B"],
        grid: Grid,
        draw: Draw,
        difficulty: Float[Tensor, "B N"] | None = None,
    ) -> Mask:
        times, frame = grid[:-2], grid[-2:]
        frames = math.prod(times)
        places = math.prod(frame)
        mean = difficulty
        if difficulty is not None:
            mean = difficulty.unflatten(1, (frames, places)).mean(1)
        mask = one_mask(self.policy, index, frame, draw, mean, "Repeated")
        boolean = mask.boolean(places)
        return predict_hidden(
            ops.expand(boolean, grid, mask.visible.shape[1] * frames, unit=(*times, 1, 1))
        )
