"""A codebook that follows the vectors it replaces, by moving averages (VQ-VAE, van den Oord et al.
2017).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import normalize

from pymim.checks import share, whole
from pymim.clusters.rows import Rows, cluster
from pymim.contracts import Run
from pymim.ops import kmeans
from pymim.world import all_ranks, gathered

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Codebook(nn.Module):
    """Keep K unit vectors, the codes, and replace unit vectors z by the nearest code.

    After each step, code k with at least one vector in the global batch moves:

        c_k <- unit(decay c_k + (1 - decay) unit(mean of its z)).

    Other codes keep their place (BEiT v2, Peng et al. 2022, as released). A code without a vector
    for `restart` steps becomes a random vector of the batch, so that none stays dead (Jukebox,
    Dhariwal et al. 2020).

    Each code also keeps the mean pixels of its patches, for pictures.

    Args:
        clusters: number K of codes.
        width: width of a code.
        pixels: P, the numbers of a patch.
        decay: how much of a code remains in a step that uses it.
        restart: steps without a vector after which a code restarts; 0: never.
    """

    codes: Float[Tensor, "K D"]
    looks: Float[Tensor, "K P"]  # mean pixels of a code's patches
    idle: Int[Tensor, " K"]  # steps since the last vector
    used: Int[Tensor, " K"]  # steps with a vector
    started: Tensor  # whether the codes come from data
    alike = True  # equal in every process: wrap need not broadcast them

    def __init__(
        self, clusters: int, width: int, pixels: int, decay: float = 0.99, restart: int = 20
    ):
        super().__init__()
        whole(self, 2, clusters=clusters)
        whole(self, 1, width=width, pixels=pixels)
        whole(self, 0, restart=restart)
        share(self, "from 0 to below 1", decay=decay)
        self.decay, self.restart = decay, restart
        self.register_buffer("codes", normalize(torch.randn(clusters, width), dim=1))
        self.register_buffer("looks", torch.zeros(clusters, pixels))
        self.register_buffer("idle", torch.zeros(clusters, dtype=torch.int64))
        self.register_buffer("used", torch.zeros(clusters, dtype=torch.int64))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))
        # Vectors beside their pixels, and codes, one entry for each piece since the last step.
        self._seen: list[tuple[Tensor, Tensor]] = []

    def nearest(self, vectors: Float[Tensor, "*B D"]) -> Int[Tensor, "*B"]:
        """Give the code of each vector: the one of the largest cosine."""
        flat = vectors.detach().float().flatten(0, -2).contiguous()
        labels: Tensor = kmeans.assign(flat, self.codes, metric="cosine").labels
        return labels.view(vectors.shape[:-1])

    def forward(
        self, vectors: Float[Tensor, "B N D"], pixels: Float[Tensor, "B N P"]
    ) -> tuple[Float[Tensor, "B N D"], Int[Tensor, "B N"]]:
        """Give the codes of unit vectors, without a graph, and their numbers. Training remembers
        the vectors until the step.
        """
        ids = self.nearest(vectors)
        if self.training and torch.is_grad_enabled():
            rows = torch.cat([vectors.detach().float(), pixels.detach().float()], -1)
            self._seen.append((rows.flatten(0, 1), ids.flatten()))
        return self.codes[ids], ids

    @torch.no_grad()
    def start(self, run: Run, vectors: Float[Tensor, "n D"], seed: int) -> None:
        """Begin as ten steps of k-means over the vectors of all processes, from random ones.

        In BEiT v2's release each process clusters its own batch.
        """
        size, rank = len(vectors), run.world.rank
        ids = torch.arange(rank * size, (rank + 1) * size, device=vectors.device)
        rows = Rows(vectors.float(), ids, size * run.world.size, run.world.group)
        options = {"metric": "cosine", "empty": "keep", "iterations": 10, "seed": seed}
        found = cluster(
            rows,
            len(self.codes),
            device=vectors.device,
            between=run.world.heed,
            **options,  # type: ignore[arg-type]
        )
        self.codes.copy_(normalize(found.centroids, dim=1))
        self.started.fill_(True)

    @torch.no_grad()
    def after_step(self, encoder: nn.Module, step: int) -> None:
        """Move the codes towards the vectors of the global batch, and restart dead ones."""
        if not self._seen:
            return
        rows, ids = (torch.cat(parts) for parts in zip(*self._seen, strict=True))
        self._seen = []
        sums, counts = self._totals(rows, ids)
        hit = counts > 0
        means = sums / counts.clamp_min(1)[:, None]
        codes, looks = means.split([self.codes.shape[1], self.looks.shape[1]], 1)
        moved = self.decay * self.codes + (1 - self.decay) * normalize(codes, dim=1)
        self.codes.copy_(torch.where(hit[:, None], normalize(moved, dim=1), self.codes))
        self.used += hit
        # A true mean at first, so that a code that is rarely used is not shown too grey.
        rate = (1 / self.used.clamp_min(1)).clamp_min(1 - self.decay)[:, None]
        self.looks.copy_(torch.where(hit[:, None], self.looks.lerp(looks, rate), self.looks))
        self.idle.copy_(torch.where(hit, 0, self.idle + 1))
        if self.restart:
            self._revive(rows, step)

    def _totals(self, rows: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Give sum and number of the rows of each code, over all processes."""
        sums = rows.new_zeros(len(self.codes), rows.shape[1] + 1)
        sums.index_add_(0, ids, torch.cat([rows, rows.new_ones(len(rows), 1)], 1))
        if (group := all_ranks()) is not None:
            dist.all_reduce(sums, group=group)
        return sums[:, :-1], sums[:, -1]

    def _revive(self, rows: Tensor, step: int) -> None:
        """Put dead codes on random rows of the batch, the same ones in every process."""
        dead = (self.idle >= self.restart).nonzero()[:, 0]
        if not len(dead):  # equal in every process
            return
        every = gathered(rows)
        order = torch.randperm(len(every), generator=torch.Generator().manual_seed(step))
        places = order[torch.arange(len(dead)) % len(every)].to(rows.device)
        codes, looks = every[places].split([self.codes.shape[1], self.looks.shape[1]], 1)
        self.codes[dead], self.looks[dead] = normalize(codes, dim=1), looks
        self.idle[dead] = self.used[dead] = 0
