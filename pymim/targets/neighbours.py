"""Nearest neighbours, found once, that should share a cluster (SCAN, Van Gansbeke et al. 2020)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pymim.checks import whole
from pymim.clusters.neighbours import nearest
from pymim.clusters.survey import Survey
from pymim.contracts import Encoder, Run, Tally
from pymim.errors import memory_of
from pymim.measures import usage
from pymim.targets.predicted import Predicted

if TYPE_CHECKING:
    from jaxtyping import Int


class Neighbours(Predicted):
    """Give the method's own prediction of a neighbour [B S K].

    When the run begins, it finds the nearest pictures of each picture by cosine of the encoder's
    pooled features, and lets the loader pair them (`views.Partner`). How often neighbours share a
    class is written to neighbours.jsonl, if the source has classes; nothing else uses it.

    The table is a buffer, the same in every process. A checkpoint has it, and a resumed run uses
    it. It stays in CPU memory, where the loader reads it. Until it is made, each picture is its own
    neighbour.

    Args:
        encoder: the method's encoder.
        survey: the pass over all pictures; its view must not be random.
        clusters: number K of clusters.
        count: neighbours of each picture.
        itself: add the picture itself to its neighbours, as released.
        of: name of the objective whose predictor is used; default: its own.
        graph: let both sides learn; see `Predicted`.
    """

    neighbours: Int[Tensor, "N k"]
    replicated_buffers = True  # equal in every process: wrap need not broadcast them

    def __init__(
        self,
        encoder: Encoder,
        survey: Survey,
        clusters: int,
        count: int = 20,
        itself: bool = True,
        of: str = "",
        graph: bool = True,
    ):
        whole(self, 2, clusters=clusters)
        whole(self, 1, count=count)
        super().__init__(encoder, clusters, of, graph)
        self.survey, self.count = survey, count
        self.itself = itself
        self.register_buffer("neighbours", torch.empty(0, 0, dtype=torch.int32))

    def before_load(self, run: Run) -> None:
        """Size the table for the source, and hand it to the loader, which then reads what is loaded
        into it.
        """
        own = torch.arange(len(run.loader.source), dtype=torch.int32)[:, None]
        self.neighbours = own.repeat(1, self.count + self.itself)
        run.loader.pair(self.neighbours.numpy())

    @torch.no_grad()
    def before_run(self, run: Run) -> None:
        """Find the neighbours, unless a checkpoint had them."""
        if run.step:
            return
        began = time.perf_counter()
        rows = self.survey(run)[0]
        remedy = f"lower targets.Neighbours.count ({self.count}), or train in more processes"
        with memory_of("Neighbours: search", remedy):
            found = nearest(rows, self.count + 1, run.world.device, run.world.heed)
        self.neighbours.copy_(found if self.itself else _others(found))
        facts = {"count": self.count, **self._facts(run)}
        run.report("neighbours", **facts, seconds=round(time.perf_counter() - began, 2))

    def gauges(self, prediction: Tensor, target: Tensor) -> dict[str, Tally]:
        """Give how the clusters are used."""
        return usage(prediction.float().softmax(-1), self.width)

    def _apply(self, fn: Any, recurse: bool = True) -> Neighbours:
        """Stay on the CPU, where the loader reads, when the method moves to a device."""
        return self

    def _facts(self, run: Run) -> dict[str, float]:
        """Give how often a neighbour has the picture's own class."""
        if run.loader.source.labels is None:
            return {}
        labels = torch.from_numpy(run.loader.source.labels)
        table = (_others(self.neighbours) if self.itself else self.neighbours).long()
        known = labels >= 0
        same = (labels[table] == labels[:, None])[known]
        return {"same_class": float(same.float().mean())} if known.any() else {}


def _others(table: Int[Tensor, "N k"]) -> Int[Tensor, "N j"]:
    """Remove each row's own number. A row without it, because its duplicates came first, loses its
    last.
    """
    own = table == torch.arange(len(table), device=table.device)[:, None]
    own[:, -1] |= ~own.any(1)
    return table[~own].view(len(table), -1)
