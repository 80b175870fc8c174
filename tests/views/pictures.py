"""Random pictures for tests of views, and names for their random streams."""

import numpy as np
import torch

from pymim import philox


def pixels(*shape, seed=0):
    return torch.randint(
        0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )


def name(images, seed=0):
    return philox.Name(seed, 0, np.arange(images))
