"""Whiten features before clustering: principal components of equal variance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.functional import normalize

from pymim.checks import whole
from pymim.clusters.rows import Rows

if TYPE_CHECKING:
    from jaxtyping import Float

NULL = 1e-10  # variances below this share of the largest are rounding errors


class Whitening:
    """Map x to W (x - mean), with covariance I, then scale each row to unit length (DeepCluster,
    Caron et al. 2018).

    W [d D] has the `dim` leading eigenvectors of the covariance of all rows, each divided by the
    root of its eigenvalue; fewer if features are narrower. Unlike faiss, which fits at most 1000 D
    rows and refuses fewer rows than components, all rows count, and directions without variance
    become 0. A row equal to the mean stays 0; the released code divides by 0. An axis's sign is a
    convention: its largest weight is positive.

    Args:
        dim: number d of components.
    """

    def __init__(self, dim: int = 256):
        whole(self, 1, dim=dim)
        self.dim = dim

    def __call__(self, rows: Rows, device: torch.device) -> Rows:
        """Whiten the rows of all processes together; float32 [n d], on their device."""
        mean = self._mean(rows, device)
        weight, centre = self._weight(rows, mean, device), mean.float()
        made = [
            normalize((chunk.to(device).float() - centre) @ weight.T) for chunk in rows.chunks()
        ]
        return rows._replace(values=torch.cat([chunk.to(rows.values.device) for chunk in made]))

    def _mean(self, rows: Rows, device: torch.device) -> Float[Tensor, " D"]:
        total = torch.zeros(rows.values.shape[1], dtype=torch.float64, device=device)
        for chunk in rows.chunks():
            total += chunk.to(device).double().sum(0)
        return _summed(total, rows.group) / rows.total

    def _weight(self, rows: Rows, mean: Tensor, device: torch.device) -> Float[Tensor, "d D"]:
        covariance = torch.zeros(len(mean), len(mean), dtype=torch.float64, device=device)
        for chunk in rows.chunks():
            centred = chunk.to(device).double() - mean
            covariance += centred.T @ centred
        covariance = _summed(covariance, rows.group) / rows.total
        variances, axes = torch.linalg.eigh(covariance)
        variances, axes = variances.flip(0)[: self.dim], axes.flip(1)[:, : self.dim]
        largest = axes.gather(0, axes.abs().argmax(0)[None])
        axes = axes * largest.sign()
        scale = torch.where(
            variances > NULL * variances[0].clamp_min(1e-300), variances.rsqrt(), 0.0
        )
        weight: Tensor = (axes * scale).T.float().contiguous()
        if rows.group is not None:  # eigensolvers of different machines may differ in the last bit
            dist.broadcast(weight, dist.get_global_rank(rows.group, 0), group=rows.group)
        return weight


def _summed(values: Tensor, group: dist.ProcessGroup | None) -> Tensor:
    if group is not None:
        dist.all_reduce(values, group=group)
    return values
