"""Copy a module so that one process can train it alone."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

Module = TypeVar("Module", bound=nn.Module)


class Norm(nn.modules.batchnorm._BatchNorm):
    """Batch norm over any number of axes, with the statistics of the local batch."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim < 2:
            raise ValueError(
                f"Norm: input: expected at least 2 axes, got {input.ndim}; add a batch axis"
            )


def alone(module: Module) -> Module:
    """Copy a module so that it never waits for other processes.

    Its batch norms use the local batch, and gradients are not exchanged. A probe that one process
    trains would otherwise wait forever for the others.
    """
    inner = module.module if isinstance(module, DistributedDataParallel | DataParallel) else module
    return _local(copy.deepcopy(inner))


def _local(module: Module) -> Module:
    if isinstance(module, nn.SyncBatchNorm):
        return _norm(module)  # type: ignore[return-value]
    for name, child in module.named_children():
        setattr(module, name, _local(child))
    return module


def _norm(old: nn.SyncBatchNorm) -> Norm:
    new = Norm(old.num_features, old.eps, old.momentum, old.affine, old.track_running_stats)
    for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
        setattr(new, name, getattr(old, name))
    return new.train(old.training)
