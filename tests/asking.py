"""The question to a target, as a forward pass puts it."""

import torch

from pymim.contracts import Asked, Batch, Made


def batch_of(*views, index=None):
    """A batch of these views."""
    count = len(views[0]) if views else len(index)
    index = torch.arange(count) if index is None else index
    return Batch(list(views), index, torch.full((count,), -1))


def ask(target, batch, mask=None, view=0, step=0):
    """What the target makes of a batch, or of one view."""
    batch = batch_of(batch) if isinstance(batch, torch.Tensor) else batch
    return target(Asked(batch, view, mask, step))


def values(made):
    """The values of what a target gave."""
    return made.values if isinstance(made, Made) else made
