"""A pass over a whole source: the pooled features of each of its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from pymim.checks import whole
from pymim.clusters.rows import Rows
from pymim.contracts import Encoder, Run
from pymim.errors import memory_of
from pymim.layers.still import still
from pymim.precision import check

if TYPE_CHECKING:
    from pymim.contracts import View


class Survey:
    """What the encoder gives for every picture, in the order of the source, while it learns nothing: without
    dropout, batch norms by their running statistics. Two surveys by the same weights are equal, bit for bit.

    Each process looks at its share of the pictures and keeps their features, float32, in the CPU's memory: N D / R
    numbers in each of R processes. A picture that is broken has the features of the next one that is not.

    views: how pictures are prepared; by default as for training, which, random or not, is the same each time.
    batch: pictures at a time, in each process.
    precision: "float32", as in the papers, or "bf16", at some cost to the directions of least variance. "tf32":
        float32, with products rounded on GPUs.
    """

    def __init__(self, views: Sequence[View] = (), batch: int = 256, precision: str = "float32"):
        whole(self, 1, batch=batch)
        check(self, precision)
        self.views, self.batch, self.precision = list(views), batch, precision

    @torch.no_grad()
    def __call__(self, run: Run, encoder: Encoder | None = None) -> list[Rows]:
        """Encode every picture of the run's source, by its encoder or another one: a table [N E] for each view.

        Raises: OutOfMemory.
        """
        remedy = "lower clusters.Survey.batch, or train in more processes, each of which keeps its share"
        with memory_of("Survey: features of every picture", remedy):
            return self._tables(run, encoder)

    def _tables(self, run: Run, encoder: Encoder | None) -> list[Rows]:
        world, total = run.world, len(run.loader.source)
        encoder = run.method.encoder if encoder is None else encoder
        share = min(self.batch, -(-total // world.size))
        whole = share * world.size
        loader = run.loader.in_order(whole, self.views)
        made: list[list[torch.Tensor]] = [[] for _ in loader.views]
        world.align(encoder)
        with still(encoder), world.autocast(self.precision):
            for batch in loader.batches(0, -(-total // whole)):
                world.heed()
                for table, view in zip(made, batch.to(world.device).views, strict=True):
                    table.append(encoder(view).pooled.float().cpu())
        first = torch.arange(-(-total // whole)) * whole + world.rank * share
        ids = (first[:, None] + torch.arange(share)).flatten()
        kept = ids < total  # the order goes round: the last batch has the first pictures again
        return [Rows(torch.cat(table)[kept], ids[kept], total, world.group) for table in made]
