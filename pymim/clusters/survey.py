"""Run an encoder over a whole source, and collect each picture's pooled features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from pymim.checks import whole
from pymim.clusters.rows import Rows
from pymim.contracts import Encoder, Run
from pymim.errors import memory_of
from pymim.layers.eval_mode import eval_mode
from pymim.precision import check

if TYPE_CHECKING:
    from pymim.contracts import View


class Survey:
    """Encode every picture in the order of the source, without learning.

    Dropout is off and batch norms use their running statistics. Two surveys with the same weights
    are equal, bit for bit. Each process encodes its share of the pictures and keeps the features,
    float32, in CPU memory: N E / R numbers in each of R processes. A broken picture has the
    features of the next good one.

    Args:
        views: how pictures are prepared; default: as for training. Random ones draw the same each
            time.
        batch: pictures at a time in each process.
        precision: "float32", as in the papers; "bf16", less exact in the directions of least
            variance; "auto", "bf16" where the device does not emulate it; or "tf32", float32 with
            rounded products on GPUs.
    """

    def __init__(self, views: Sequence[View] = (), batch: int = 256, precision: str = "float32"):
        whole(self, 1, batch=batch)
        check(self, precision)
        self.views, self.batch = list(views), batch
        self.precision = precision

    @torch.no_grad()
    def __call__(self, run: Run, encoder: Encoder | None = None) -> list[Rows]:
        """Encode every picture of the run's source: one table [N E] per view.

        Args:
            run: the run; gives source, loader, world and encoder.
            encoder: the encoder to use; default: the run's.

        Raises:
            OutOfMemory: the features do not fit.
        """
        remedy = (
            "lower clusters.Survey.batch, or train in more processes, each of which keeps its share"
        )
        with memory_of("Survey: features of every picture", remedy):
            return self._tables(run, encoder)

    def _tables(self, run: Run, encoder: Encoder | None) -> list[Rows]:
        world, total = run.world, len(run.loader.source)
        encoder = run.method.encoder if encoder is None else encoder
        # Every process encodes `share` pictures of each batch of `whole`, so all take as many
        # steps. A share is never more than a process's part of a small source.
        share = min(self.batch, -(-total // world.size))
        whole = share * world.size
        loader = run.loader.in_order(whole, self.views)
        made: list[list[torch.Tensor]] = [[] for _ in loader.views]
        world.align(encoder)
        with eval_mode(encoder), world.autocast(self.precision):
            for batch in loader.batches(0, -(-total // whole)):
                world.heed()
                for table, view in zip(made, batch.to(world.device).views, strict=True):
                    table.append(encoder(view).pooled.float().cpu())
        # Picture numbers of this process's rows: in batch b they start at b whole + rank share.
        first = torch.arange(-(-total // whole)) * whole + world.rank * share
        ids = (first[:, None] + torch.arange(share)).flatten()
        kept = ids < total  # the last batch wraps around to the first pictures; drop those
        return [Rows(torch.cat(table)[kept], ids[kept], total, world.group) for table in made]
