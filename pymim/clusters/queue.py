"""Keep rows of earlier batches, for batches that are too small to be assigned alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor, nn

from pymim.checks import whole
from pymim.errors import ConfigError
from pymim.world import all_ranks, gathered

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Queue(nn.Module):
    """Keep the last `size` rows of the global batches for each of some views, first in, first out.

    (SwAV, Caron et al. 2020; MoCo, He et al. 2020.) Every process keeps the whole queue, V size D
    numbers, and works on its share of the rows. Checkpoints have it, so a resumed run goes on with
    its rows, in any number of processes.

    Args:
        width: width D of a row.
        size: rows of each view.
        views: views whose rows are kept.
        start: step from which rows are kept. A view's rows are used once its queue is full; SwAV's
            release uses the second view's as soon as the first one's is full.
    """

    rows: Float[Tensor, "V L D"]
    count: Int[Tensor, " V"]  # rows pushed so far
    replicated_buffers = True  # equal in every process: wrap need not broadcast them

    def __init__(self, width: int, size: int = 3840, views: Sequence[int] = (0, 1), start: int = 0):
        super().__init__()
        whole(self, 1, width=width, size=size)
        whole(self, 0, views=views, start=start)
        self.size, self.views = size, list(views)
        self.start = start
        self.register_buffer("rows", torch.zeros(len(self.views), size, width))
        self.register_buffer("count", torch.zeros(len(self.views), dtype=torch.int64))

    @torch.no_grad()
    def push(self, view: int, rows: Float[Tensor, "B D"]) -> None:
        """Add the rows of a view from all processes; the oldest rows drop out."""
        number, everybody = (
            self._number(view),
            gathered(rows.detach())[-self.size :].to(self.rows.dtype),
        )
        places = (
            self.count[number] + torch.arange(len(everybody), device=everybody.device)
        ) % self.size
        self.rows[number, places] = everybody
        self.count[number] += len(everybody)

    def own_rows(self, view: int) -> Float[Tensor, "n D"]:
        """Give this process's share of a view's rows, L / R of them; none until the queue is
        full.
        """
        number = self._number(view)
        if self.count.is_meta or self.count[number] < self.size:
            return self.rows[number, :0]
        if all_ranks() is None:
            return self.rows[number]
        return self.rows[number, dist.get_rank() :: dist.get_world_size()]

    def _number(self, view: int) -> int:
        if view not in self.views:
            raise ConfigError(
                f"Queue: views: expected the numbers of all views that use the queue, such as "
                f"{view}, got {self.views}; add {view}"
            )
        return self.views.index(view)
