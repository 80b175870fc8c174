"""The gauges of a step that is one piece, of one process."""

import torch

from pymim.loop import Gauges
from pymim.world import World

ALONE = World(0, 1, torch.device("cpu"))


def gauges_of(method, output):
    gauges = Gauges()
    gauges.see(method, output)
    return gauges.values(
        method, ALONE, {name: loss.mean().item() for name, loss in output.losses.items()}
    )
