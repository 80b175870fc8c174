"""Draw over the rows of all processes, as one process with all rows in rank order would."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

Drawn = tuple[Tensor, Tensor, Tensor]  # keys [n], rows [n D], weights [n]


class Ranks(NamedTuple):
    """A group, and the number of rows that its earlier and its later processes hold."""

    group: dist.ProcessGroup
    before: int
    after: int


def elsewhere(counts: Tensor, group: dist.ProcessGroup) -> tuple[Tensor, Tensor]:
    """Sum int64 counts over all earlier and over all later processes."""
    found = [torch.empty_like(counts) for _ in range(group.size())]
    dist.all_gather(found, counts, group=group)
    table, own = torch.stack(found), group.rank()
    return table[:own].sum(0), table[own + 1 :].sum(0)


def skip(random: torch.Generator, count: int) -> None:
    """Skip the random numbers that other processes draw for their rows."""
    for first in range(0, count, 1 << 20):
        torch.rand(min(1 << 20, count - first), dtype=torch.float64, generator=random)


def gather(drawn: Drawn, group: dist.ProcessGroup) -> Drawn:
    """Give the rows of all processes in rank order; padding has infinite keys."""
    most = torch.tensor(len(drawn[0]), device=drawn[0].device)
    dist.all_reduce(most, dist.ReduceOp.MAX, group)
    return tuple(  # type: ignore[return-value]
        _gathered(part, int(most), fill, group)
        for part, fill in zip(drawn, (torch.inf, 0, 0), strict=True)
    )


def _gathered(part: Tensor, most: int, fill: float, group: dist.ProcessGroup) -> Tensor:
    own = part.new_full((most, *part.shape[1:]), fill)
    own[: len(part)] = part
    found = [torch.empty_like(own) for _ in range(group.size())]
    dist.all_gather(found, own, group=group)
    return torch.cat(found)
