"""The last rows of earlier batches: for small batches, which have too few to be assigned by themselves."""

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
    """The last `size` rows of the global batches, for each of some views: first in, first out (SwAV, Caron et al.
    2020; MoCo, He et al. 2020).

    Every process keeps the whole queue, V size D numbers, and works on its share of the rows. It is in
    checkpoints, so that a resumed run goes on with the rows it had, in any number of processes.

    Args:
        width: D. size: rows of each view. views: whose rows are kept.
        start: the step from which rows are kept. A view's rows are used once its own queue is full. Unlike
            there, SwAV's release uses the second view's queue as soon as the first one's is full.
    """

    rows: Float[Tensor, "V L D"]
    count: Int[Tensor, " V"]  # rows that went in so far
    alike = True  # in every process: see wrap

    def __init__(self, width: int, size: int = 3840, views: Sequence[int] = (0, 1), start: int = 0):
        super().__init__()
        whole(self, 1, width=width, size=size)
        whole(self, 0, views=views, start=start)
        self.size, self.views, self.start = size, list(views), start
        self.register_buffer("rows", torch.zeros(len(self.views), size, width))
        self.register_buffer("count", torch.zeros(len(self.views), dtype=torch.int64))

    @torch.no_grad()
    def push(self, view: int, rows: Float[Tensor, "B D"]) -> None:
        """Put this process's rows of a view in, and those of all other processes; the oldest ones go."""
        number, everybody = self._number(view), gathered(rows.detach())[-self.size :].to(self.rows.dtype)
        places = (self.count[number] + torch.arange(len(everybody), device=everybody.device)) % self.size
        self.rows[number, places] = everybody
        self.count[number] += len(everybody)

    def share(self, view: int) -> Float[Tensor, "n D"]:
        """Give this process's share of a view's rows, L / R of them; none until its queue is full."""
        number = self._number(view)
        if self.count.is_meta or self.count[number] < self.size:
            return self.rows[number, :0]
        if all_ranks() is None:
            return self.rows[number]
        return self.rows[number, dist.get_rank() :: dist.get_world_size()]

    def _number(self, view: int) -> int:
        if view not in self.views:
            raise ConfigError(f"Queue: views: expected view {view} among them, got {self.views}; add it")
        return self.views.index(view)
