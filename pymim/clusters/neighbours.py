"""Find the exact nearest neighbours of every row of a table that several processes hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.functional import normalize

from pymim.clusters.rows import Rows

if TYPE_CHECKING:
    from jaxtyping import Int

QUERIES, BANK = 1024, 16384  # sides of the block of products held in memory


@torch.no_grad()
def nearest(
    rows: Rows, count: int, device: torch.device, between: Callable[[], None] = lambda: None
) -> Int[Tensor, "N k"]:
    """Give the `count` rows with the largest cosine to each row, int64, in every process.

    The largest comes first; the row itself is among them. Each process sends its rows to all others
    in chunks, and keeps the best neighbours of its own rows so far. So N D numbers pass through
    each process, and n (k + chunk) are in memory.

    Args:
        rows: this process's rows of the table.
        count: neighbours k of each row.
        device: where products are computed.
        between: called before each chunk, in every process; an exception from it ends the search.

    Raises:
        ValueError: there are fewer rows than neighbours.
    """
    if not 0 < count <= rows.total:
        raise ValueError(
            f"nearest: count: expected 1 to {rows.total}, the number of rows, got {count}; "
            "set a smaller one"
        )
    mine = normalize(rows.values.float())
    cosine, found = (
        mine.new_full((len(mine), count), -2.0),
        rows.ids.new_full((len(mine), count), -1),
    )
    for bank, ids in _everybody(mine, rows, device):
        between()
        for first in range(0, len(mine), QUERIES):
            chosen = slice(first, first + QUERIES)
            with torch.autocast(device.type, enabled=False):
                products = mine[chosen].to(device) @ bank.T
            both = torch.cat([cosine[chosen].to(device), products], 1)
            names = torch.cat([found[chosen].to(device), ids.expand(len(products), -1)], 1)
            top = both.topk(count)
            cosine[chosen], found[chosen] = (
                top.values.to(mine.device),
                names.gather(1, top.indices).to(mine.device),
            )
    return torch.stack([rows.whole(column.to(device)) for column in found.unbind(1)], 1)


def _everybody(mine: Tensor, rows: Rows, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the rows of all processes with their numbers, in chunks, the same in every process."""
    sizes = [torch.tensor([len(mine)], device=device)]
    if rows.group is not None:
        sizes = [torch.zeros_like(sizes[0]) for _ in range(dist.get_world_size(rows.group))]
        dist.all_gather(sizes, torch.tensor([len(mine)], device=device), group=rows.group)
    for rank, size in enumerate(int(size) for size in sizes):
        for first in range(0, size, BANK):
            yield _of(mine, rows, rank, slice(first, min(size, first + BANK)), device)


def _of(
    mine: Tensor, rows: Rows, rank: int, some: slice, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Give some rows of process `rank`, and their numbers."""
    if rows.group is None or rank == dist.get_rank(rows.group):
        parts = mine[some].to(device).contiguous(), rows.ids[some].to(device).contiguous()
    else:
        count = some.stop - some.start
        parts = (
            mine.new_empty(count, mine.shape[1], device=device),
            rows.ids.new_empty(count, device=device),
        )
    if rows.group is None:
        return parts
    for part in parts:
        dist.broadcast(part, dist.get_global_rank(rows.group, rank), group=rows.group)
    return parts
