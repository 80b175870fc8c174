"""Scale features to unit length, for clustering by direction only."""

from __future__ import annotations

import torch

from pymim.checks import finite
from pymim.clusters.rows import Rows


class Unit:
    """Map x to x / (|x| + epsilon), each row by itself (ClusterFit, Yan et al. 2020, as released).

    Args:
        epsilon: added to the length.
    """

    def __init__(self, epsilon: float = 1e-5):
        finite(self, 0, epsilon=epsilon)
        self.epsilon = epsilon

    def __call__(self, rows: Rows, device: torch.device) -> Rows:
        """Scale the rows; they stay on their device."""
        return rows._replace(
            values=rows.values / (rows.values.norm(dim=1, keepdim=True) + self.epsilon)
        )
