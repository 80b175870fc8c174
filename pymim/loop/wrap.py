"""Wrap a method from outside: processes, compilation, recomputation.

`Method.forward` knows none of it. FSDP2 (`fully_shard`) would go here, in place of DDP.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from pymim.contracts import Batch, Output
from pymim.errors import ConfigError
from pymim.world import Context, World

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
BATCH_NORMS = (*_NORMS, nn.SyncBatchNorm)


def wrap(method: nn.Module, world: World, compiled: bool, recompute: bool) -> nn.Module:
    """Wrap `method` for the loop. Its parameters stay the method's own.

    On GPUs its batch norms use the batches of all processes, like everything else in a step. On
    CPUs each process normalises its own share.
    """
    wrapped = method
    if recompute:
        check_recompute(method, compiled)
        _recompute_blocks(method)
    if world.size > 1 and world.device.type == "cuda":  # torch has no such norm for CPUs
        synchronise_norms(method)
    if world.size > 1:
        ids = [world.device.index] if world.device.type == "cuda" else None
        wrapped = _Shared(method, ids)
    if compiled:
        wrapped.compile()
    return wrapped


def synchronise_norms(module: nn.Module) -> None:
    """Make torch's own batch norms use the batches of all processes, but no derived class.

    `SyncBatchNorm.convert_sync_batchnorm` replaces derived classes too, and loses what they add.
    """
    for name, child in module.named_children():
        if type(child) in _NORMS:
            setattr(module, name, nn.SyncBatchNorm.convert_sync_batchnorm(child))
        else:
            synchronise_norms(child)


class _Shared(DistributedDataParallel):
    """Average a method's gradients over all processes.

    A parameter that a step's loss does not depend on has no gradient in that step: that of an
    objective with weight 0, of an expert that got no token, of a norm behind the last tap. The rest
    of the method's output is hidden from DistributedDataParallel, which would wait for a gradient
    of everything it sees.
    """

    def __init__(self, method: nn.Module, ids: list[int] | None):
        inner = _LossFirst(method).to(next(method.parameters()).device)
        tables = [f"method.{name}" for name in _tables(method)]
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(inner, tables)
        super().__init__(inner, device_ids=ids, find_unused_parameters=True)

    def forward(self, batch: Batch, step: int) -> Output:
        loss, hidden = super().forward(batch, step)
        output: Output = hidden.output._replace(loss=loss)
        return output


class _LossFirst(nn.Module):
    def __init__(self, method: nn.Module):
        super().__init__()
        self.method = method
        # Without an unused parameter, torch warns that looking for unused ones is needless.
        self.unused = nn.Parameter(torch.zeros(()))

    def forward(self, batch: Batch, step: int) -> tuple[Tensor, _Hidden]:
        output = self.method(batch, step)
        return output.loss, _Hidden(output)


class _Hidden:
    """Hide an object from torch, which looks into tuples and dictionaries."""

    def __init__(self, output: Output):
        self.output = output


def _tables(method: nn.Module) -> Iterator[str]:
    """Yield large buffers that are equal in every process: DDP need not broadcast them."""
    for name, module in method.named_modules():
        if getattr(module, "replicated_buffers", False):
            yield from (f"{name}.{buffer}" for buffer, _ in module.named_buffers(recurse=False))


def synchronise_only(wrapped: nn.Module, last: bool) -> Context:
    """Exchange gradients only with the last piece of a batch."""
    if last or not isinstance(wrapped, DistributedDataParallel):
        return contextlib.nullcontext()
    return wrapped.no_sync()


def blocks_of(method: nn.Module) -> list[nn.Module]:
    """Return the blocks of transformers and residual networks, which can be recomputed."""
    return [block for module in method.modules() for block in getattr(module, "blocks", ())]


def check_recompute(method: nn.Module, compiled: bool) -> None:
    """Refuse a method without blocks, and batch norms in recomputed blocks if compiled."""
    blocks = blocks_of(method)
    if not blocks:
        kind = type(getattr(method, "encoder", method)).__name__
        raise ConfigError(
            f"Trainer: recompute: expected False, as {kind} has no blocks to recompute, got True; "
            "leave it out"
        )
    if compiled and any(map(is_normed, blocks)):  # torch cannot compile a second pass that differs
        raise ConfigError(
            "Trainer: compile: expected False with recompute, as batch norms in recomputed blocks "
            "must not count twice, got True; set only one of compile and recompute"
        )


def _recompute_blocks(method: nn.Module) -> None:
    """Recompute each block's activations in the backward pass (Chen et al. 2016)."""
    for block in blocks_of(method):
        # Not a function that remembers the block: a copy of the block would run the original.
        recomputed = functools.partial(checkpoint, block.forward, use_reentrant=False)
        if is_normed(block):
            again = functools.partial(_forward_and_again, block)
            recomputed = functools.partial(recomputed, context_fn=again)
        block.forward = recomputed


def is_normed(block: nn.Module) -> bool:
    """Say whether a block contains batch norms."""
    return any(isinstance(part, BATCH_NORMS) for part in block.modules())


def _forward_and_again(block: nn.Module) -> tuple[Context, Context]:
    """Return the contexts of a block's two passes; the second leaves running statistics alone."""
    return contextlib.nullcontext(), _aside(block)


@contextlib.contextmanager
def _aside(block: nn.Module) -> Iterator[None]:
    """Make batch norms update copies of their buffers.

    Without buffers they would save other tensors than in the first pass.
    """
    norms = [part for part in block.modules() if isinstance(part, BATCH_NORMS)]
    kept = [
        (norm, name, buffer) for norm in norms for name, buffer in norm.named_buffers(recurse=False)
    ]
    for norm, name, buffer in kept:
        setattr(norm, name, buffer.clone())
    try:
        yield
    finally:
        for norm, name, buffer in kept:
            setattr(norm, name, buffer)
