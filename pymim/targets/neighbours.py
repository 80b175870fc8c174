"""Neighbours mined once, that are to be in the same cluster (SCAN, Van Gansbeke et al. 2020)."""

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
    """The method's own prediction of a neighbour: when the run begins, the nearest pictures of each are found by
    the encoder's pooled features, and the loader is told to pair them (`views.Partner`).

    Neighbours are those of the largest cosine. How often they share the class of their picture is written to
    neighbours.jsonl, where there are classes; it is used for nothing.

    The table is a buffer, in every process the same: a checkpoint has it, and a resumed run goes on with it. It
    stays in the CPU's memory, where the loader reads it. Until it is made each picture is its own neighbour.

    Args:
        clusters: K. survey: how pictures are seen for it, a view that is not random.
        count: neighbours of each picture. itself: whether the picture is one more of them, as released.
        of, graph: as of `Predicted`.
    """

    neighbours: Int[Tensor, "N k"]
    alike = True  # in every process: see wrap

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
        self.survey, self.count, self.itself = survey, count, itself
        self.register_buffer("neighbours", torch.empty(0, 0, dtype=torch.int32))

    def before_load(self, run: Run) -> None:
        """Give the table its size, and to the loader: what is loaded into it is paired."""
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
        """How the clusters are used."""
        return usage(prediction.float().softmax(-1), self.width)

    def _apply(self, fn: Any, recurse: bool = True) -> Neighbours:
        """Stay where the loader reads, whatever device the method goes to."""
        return self

    def _facts(self, run: Run) -> dict[str, float]:
        """How often a neighbour is of the picture's own class."""
        if run.loader.source.labels is None:
            return {}
        labels = torch.from_numpy(run.loader.source.labels)
        table = (_others(self.neighbours) if self.itself else self.neighbours).long()
        known = labels >= 0
        same = (labels[table] == labels[:, None])[known]
        return {"same_class": float(same.float().mean())} if known.any() else {}


def _others(table: Int[Tensor, "N k"]) -> Int[Tensor, "N j"]:
    """Leave out each row's own number; of a row that lacks it, as its twins came first, the last."""
    own = table == torch.arange(len(table), device=table.device)[:, None]
    own[:, -1] |= ~own.any(1)
    return table[~own].view(len(table), -1)
