"""The random state of a step."""

from __future__ import annotations

import random

import numpy as np
import torch


def seed_everything(seed: int, step: int, rank: int) -> None:
    """Set the random state of one step of one process: for dropout and whatever a user's component draws."""
    mixed = (seed * 1_000_003 + step * 8191 + rank) % 2**32
    random.seed(mixed)
    np.random.seed(mixed)  # noqa: NPY002 - whatever a component draws from must follow the step
    torch.manual_seed(mixed)
