"""How assignments use their clusters: what collapses first when clustering fails."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def usage(assignments: Tensor, clusters: int) -> dict[str, Tensor]:
    """Of soft assignments [* K] or labels [*]:

    entropy: of a patch's shares, mean over patches, divided by log K: 0 for hard labels, 1 where nothing is told.
    balance: entropy of the clusters' sizes, divided by the largest it can be.
    used: the share of clusters that are the first choice of a patch; of as many clusters as there are patches, if
        these are fewer.
    """
    soft = assignments.is_floating_point()
    shares = assignments.detach().flatten(0, -2).float() if soft else None
    labels = assignments.flatten() if shares is None else shares.argmax(1)
    counts = labels.bincount(minlength=clusters)
    sizes = counts / counts.sum() if shares is None else shares.mean(0)
    most = clusters if soft else min(clusters, len(labels))
    return {
        "entropy": labels.new_zeros(()).float() if shares is None else _entropy(shares).mean() / _log(clusters),
        "balance": _entropy(sizes) / _log(most),
        "used": (counts > 0).sum() / min(clusters, len(labels)),
    }


def _entropy(shares: Tensor) -> Tensor:
    out: Tensor = torch.special.entr(shares).sum(-1)
    return out


def _log(count: int) -> float:
    return math.log(max(2, count))
