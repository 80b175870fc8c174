"""What is applied to a method from outside: processes, compilation, recomputation.

`Method.forward` knows none of it. This is also where FSDP2 (`fully_shard`) goes, in the place of DDP.
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
    """Give `method` as the loop calls it. Its parameters stay the method's own.

    On GPUs its batch norms become those of all processes' batches together, as everything else in a
    step is of the global batch; on CPUs they stay those of a process's share.
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
    """Let torch's own batch norms, and no class derived from one, see the batches of all processes.

    `SyncBatchNorm.convert_sync_batchnorm` replaces derived classes too, and what they do besides is lost.
    """
    for name, child in module.named_children():
        if type(child) in _NORMS:
            setattr(module, name, nn.SyncBatchNorm.convert_sync_batchnorm(child))
        else:
            synchronise_norms(child)


class _Shared(DistributedDataParallel):
    """A method whose gradients are those of all processes.

    A parameter that the loss of a step does not depend on has no gradient in it: one of an objective
    whose weight is 0, of an expert that no token went to, of a norm behind the last tap. What else a
    method gives is hidden from DistributedDataParallel, which would wait for the gradient of everything
    that it sees.
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
        self.unused = nn.Parameter(torch.zeros(()))  # with none, torch advises against looking for some

    def forward(self, batch: Batch, step: int) -> tuple[Tensor, _Hidden]:
        output = self.method(batch, step)
        return output.loss, _Hidden(output)


class _Hidden:
    """Something that torch does not look into."""

    def __init__(self, output: Output):
        self.output = output


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


def blocks_of(method: nn.Module) -> list[nn.Module]:
    """Give the blocks, of transformers and residual networks, that can be recomputed."""
    return [block for module in method.modules() for block in getattr(module, "blocks", ())]


def check_recompute(method: nn.Module, compiled: bool) -> None:
    """Refuse a method without blocks to recompute, and one whose recomputed blocks torch cannot compile."""
    blocks = blocks_of(method)
    if not blocks:
        kind = type(getattr(method, "encoder", method)).__name__
        raise ConfigError(
            f"Trainer: recompute: expected False, as {kind} has no blocks to recompute, got True; leave it out"
        )
    if compiled and any(map(is_normed, blocks)):  # torch compiles no pass that differs from the first
        raise ConfigError(
            "Trainer: compile: expected False, as batch norms in recomputed blocks must not count twice, got True; "
            "set one of compile and recompute"
        )


def _recompute_blocks(method: nn.Module) -> None:
    """Each block forgets its activations and computes them again in the backward pass (Chen et al. 2016)."""
    for block in blocks_of(method):
        # Not a function that remembers the block: a copy of the block would run the original.
        recomputed = functools.partial(checkpoint, block.forward, use_reentrant=False)
        if is_normed(block):
            again = functools.partial(_forward_and_again, block)
            recomputed = functools.partial(recomputed, context_fn=again)
        block.forward = recomputed


def is_normed(block: nn.Module) -> bool:
    return any(isinstance(part, BATCH_NORMS) for part in block.modules())


def _forward_and_again(block: nn.Module) -> tuple[Context, Context]:
    """What is round a block's first pass, and round the second, which must not count in running statistics."""
    return contextlib.nullcontext(), _aside(block)


@contextlib.contextmanager
def _aside(block: nn.Module) -> Iterator[None]:
    """Have batch norms count in copies. Without any they would save other tensors than in the first pass."""
    norms = [part for part in block.modules() if isinstance(part, BATCH_NORMS)]
    kept = [(norm, name, buffer) for norm in norms for name, buffer in norm.named_buffers(recurse=False)]
    for norm, name, buffer in kept:
        setattr(norm, name, buffer.clone())
    try:
        yield
    finally:
        for norm, name, buffer in kept:
            setattr(norm, name, buffer)
