"""Set the random state of a step."""

from __future__ import annotations

import random

import numpy as np
import torch


def seed_everything(seed: int, step: int, rank: int) -> None:
    """Seed Python, NumPy and torch for a step of a process: for dropout and users' components."""
    mixed = (seed * 1_000_003 + step * 8191 + rank) % 2**32
    random.seed(mixed)
    np.random.seed(mixed)  # noqa: NPY002 - a component may draw from the global generator
    torch.manual_seed(mixed)
