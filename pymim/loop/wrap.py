"""What is applied to a method from outside: processes, compilation, recomputation.

`Method.forward` knows none of it. This is also where FSDP2 (`fully_shard`) goes, in the place of DDP.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from pymim.world import Context, World


def wrap(method: nn.Module, world: World, compiled: bool, recompute: bool) -> nn.Module:
    """`method` as the loop calls it. Its parameters stay the method's own. On GPUs its batch norms become those of
    all processes' batches together, as everything else in a step is of the global batch; on CPUs they stay those
    of a process's share."""
    wrapped = method
    if recompute:
        _recompute_blocks(method)
    if world.size > 1 and world.device.type == "cuda":  # torch has no such norm for CPUs
        wrapped = method = nn.SyncBatchNorm.convert_sync_batchnorm(method)
    if world.size > 1:
        ids = [world.device.index] if world.device.type == "cuda" else None
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(method, list(_tables(method)))
        wrapped = DistributedDataParallel(method, device_ids=ids)
    if compiled:
        wrapped.compile()
    return wrapped


def _tables(method: nn.Module) -> Iterator[str]:
    """Buffers that every process keeps alike by itself, and that may be large: they are not broadcast each step."""
    for name, module in method.named_modules():
        if getattr(module, "alike", False):
            yield from (f"{name}.{buffer}" for buffer, _ in module.named_buffers(recurse=False))


def synchronise_only(wrapped: nn.Module, last: bool) -> Context:
    """Gradients are exchanged with the last piece of a batch alone."""
    if last or not isinstance(wrapped, DistributedDataParallel):
        return contextlib.nullcontext()
    return wrapped.no_sync()


def _recompute_blocks(method: nn.Module) -> None:
    """Each block forgets its activations and computes them again in the backward pass (Chen et al. 2016)."""
    for module in method.modules():
        for block in getattr(module, "blocks", ()):
            plain = block.forward
            block.forward = lambda *args, plain=plain, **kw: checkpoint(plain, *args, use_reentrant=False, **kw)
