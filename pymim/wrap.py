"""What is applied to a method from outside: processes, precision, compilation, recomputation.

`Method.forward` knows none of it. This is also where FSDP2 (`fully_shard`) goes, in the place of DDP.
"""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.nn.functional  # before there is a group: its defaults would keep the group for good
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

Context = contextlib.AbstractContextManager[Any]


@dataclass(frozen=True)
class World:
    """This process among its peers, as torchrun started them (alone without it)."""

    rank: int
    size: int
    device: torch.device

    @classmethod
    def current(cls) -> World:
        """Joins the processes torchrun started, by NCCL on GPUs and gloo elsewhere."""
        cuda = torch.cuda.is_available()
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if cuda else torch.device("cpu")
        if cuda:
            torch.cuda.set_device(device)
        if "RANK" not in os.environ:
            return cls(0, 1, device)
        if not dist.is_initialized():
            dist.init_process_group("nccl" if cuda else "gloo")
        return cls(dist.get_rank(), dist.get_world_size(), device)

    @staticmethod
    def leave() -> None:
        """Ends what current() began, threads included. One that lets go of its last tensor while Python exits is an
        abort, for which torchrun kills the others."""
        if dist.is_initialized():
            gc.collect()  # what has the group, such as DDP, is in circles
            dist.destroy_process_group()

    @property
    def leads(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    @property
    def group(self) -> dist.ProcessGroup | None:
        """All processes; None where there is one."""
        return dist.group.WORLD if self.size > 1 else None

    def align(self, module: nn.Module) -> None:
        """Gives every process the first one's buffers, the running statistics of batch norms above all."""
        for buffer in module.buffers() if self.size > 1 else ():
            dist.broadcast(buffer, 0)

    def mean(self, values: torch.Tensor) -> list[float]:
        """The mean over the processes."""
        if self.size > 1:
            dist.all_reduce(values)
            values = values / self.size
        return [float(value) for value in values.tolist()]

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        if self.size == 1:
            return flag
        shared = torch.tensor(float(flag), device=self.device)
        dist.all_reduce(shared)
        return bool(shared > 0)

    def autocast(self, precision: str) -> Context:
        """bf16 for matrix products, float32 for the rest; nothing under "float32"."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=precision == "bf16")


@contextlib.contextmanager
def still(*modules: nn.Module) -> Iterator[None]:
    """Evaluation mode, and then the mode that each had."""
    training = [module.training for module in modules]
    for module in modules:
        module.eval()
    try:
        yield
    finally:
        for module, mode in zip(modules, training, strict=True):
            module.train(mode)


def all_ranks() -> dist.ProcessGroup | None:
    """The group of all processes, for what needs the global batch; None where there is one process."""
    alone = not dist.is_initialized() or dist.get_world_size() == 1
    return None if alone else dist.group.WORLD


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
