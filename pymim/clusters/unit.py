"""Features of unit length: what is clustered where only their direction counts."""

from __future__ import annotations

import torch

from pymim.checks import finite
from pymim.clusters.rows import Rows


class Unit:
    """x -> x / (|x| + epsilon), each row by itself (ClusterFit, Yan et al. 2020: as its release does)."""

    def __init__(self, epsilon: float = 1e-5):
        finite(self, 0, epsilon=epsilon)
        self.epsilon = epsilon

    def __call__(self, rows: Rows, device: torch.device) -> Rows:
        """The rows, where they were."""
        return rows._replace(values=rows.values / (rows.values.norm(dim=1, keepdim=True) + self.epsilon))
