"""The processes of a run: this one, its peers, and their collectives."""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

# Imported before there is a group: later, its default arguments would keep the group for good.
import torch.distributed.nn.functional
from torch import nn

from pymim import signals
from pymim.meeting import joined
from pymim.peers import Peers
from pymim.precision import autocast

PATIENCE = 1800.0  # seconds, as in torch's process groups
Context = contextlib.AbstractContextManager[Any]
_OF_GLOO = (
    "gloo/",
    "pair closure",
    "Connection closed by peer",
    "Connection reset by peer",
    "Broken pipe",
)
_STOPPED = "stopped"
_peers: Peers | None = None  # one for each process, like torch.distributed's group
_broken = False


@dataclass(frozen=True)
class World:
    """This process among its peers, as torchrun started them (alone without it)."""

    rank: int
    size: int
    device: torch.device

    @classmethod
    def current(cls, patience: float = PATIENCE) -> World:
        """Join the processes that torchrun started, by NCCL on GPUs and gloo elsewhere.

        patience: seconds to wait for another process at most. Raises: Lost if one does not come.
        """
        global _peers
        cuda = torch.cuda.is_available()
        device = (
            torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
            if cuda
            else torch.device("cpu")
        )
        if cuda:
            torch.cuda.set_device(device)
        if "RANK" not in os.environ:
            return cls(0, 1, device)
        if not dist.is_initialized():
            _peers = joined("nccl" if cuda else "gloo", patience)
        return cls(dist.get_rank(), dist.get_world_size(), device)

    @classmethod
    def meet(cls, patience: float = PATIENCE) -> None:
        """Wait until every process is here: all then see the same state of a folder."""
        if cls.current(patience).size > 1:
            dist.barrier()

    @staticmethod
    def leave(code: int = 0, reason: str = "done") -> None:
        """Destroy the process group and end its threads; tell the others the exit code and reason.

        A communication thread that frees a tensor during interpreter shutdown aborts the process,
        and torchrun then kills the others.
        """
        global _peers, _broken
        if _peers is not None:
            _peers.end(code, reason)
            _broken |= _peers.broken
            _peers = None
        # After a bug, others may still wait for this process, and destroying the group would wait
        # for them.
        if dist.is_initialized() and code != 1 and not _broken:
            gc.collect()  # objects that hold the group, such as DDP, are in reference cycles
            dist.destroy_process_group()

    @property
    def leads(self) -> bool:
        """Whether this is rank 0, which writes files and prints."""
        return self.rank == 0

    @property
    def group(self) -> dist.ProcessGroup | None:
        """The group of all processes; None if there is only one."""
        return dist.group.WORLD if self.size > 1 else None

    def align(self, module: nn.Module) -> None:
        """Copy rank 0's buffers, such as running statistics of batch norms, to every process."""
        for buffer in module.buffers() if self.size > 1 else ():
            dist.broadcast(buffer, 0)

    def mean(self, values: torch.Tensor) -> list[float]:
        """Return the mean over the processes."""
        return [float(value) for value in (self.total(values) / self.size).tolist()]

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """Sum over the processes, in place."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def rows(self, values: torch.Tensor) -> torch.Tensor:
        """Concatenate the rows of all processes, [n *D] each; n may differ."""
        if self.size == 1:
            return values
        mine = torch.tensor([len(values)], device=values.device)
        counts = [torch.empty_like(mine) for _ in range(self.size)]
        dist.all_gather(counts, mine)
        padded = values.new_zeros(int(max(counts)), *values.shape[1:])
        padded[: len(values)] = values
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(parts, padded)
        return torch.cat([part[: int(count)] for part, count in zip(parts, counts, strict=True)])

    def any(self, flag: bool) -> bool:
        """Say whether the flag is set in any process."""
        if self.size == 1:
            return flag
        shared = torch.tensor(float(flag), device=self.device)
        dist.all_reduce(shared)
        return bool(shared > 0)

    def heed(self) -> None:
        """Raise Asked in every process, at the same place, if one of them was asked to stop."""
        if self.any(bool(signals.requested())):
            raise signals.asked(together=True)

    def led(self, action: Callable[[], object]) -> None:
        """Let rank 0 do a long action while the others wait, as long as it lives.

        Raises: Asked, in all processes, if one was asked to stop: the action ends at once.
        """
        if self.size == 1:
            with signals.released():
                action()
            return
        assert _peers is not None, "current() makes it"
        _peers.turns += 1
        turn = f"turn/{_peers.turns}"
        if not self.leads:
            with signals.held():
                if _peers.follow(turn) == _STOPPED:
                    raise signals.asked(together=True)
            return
        try:
            with signals.released():
                action()
        except signals.Asked as asked:
            _peers.say(turn, _STOPPED)
            raise signals.asked(together=True) from asked
        _peers.say(turn, "done")

    def autocast(self, precision: str) -> Context:
        """Compute a forward pass in this precision (`pymim.precision`)."""
        return autocast(self.device, precision)


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Replace a failure caused by another process by what is known of that process.

    Raises: Lost; the error that ended the other process; or Asked if one was asked to stop.
    """
    try:
        yield
    except RuntimeError as error:
        if _peers is None or not _is_of_others(error):
            raise
        raise _peers.explained(error) from error


def is_broken() -> bool:
    """Say whether a collective failed.

    Threads of torch may then wait for a process that is stopped, and Python would wait for these
    threads at its exit.
    """
    return _broken


def _is_of_others(error: RuntimeError) -> bool:
    return isinstance(error, dist.DistError) or any(words in str(error) for words in _OF_GLOO)


def all_ranks() -> dist.ProcessGroup | None:
    """Return the group of all processes, for losses over the global batch; None if alone."""
    alone = not dist.is_initialized() or dist.get_world_size() == 1
    return None if alone else dist.group.WORLD


def gathered(values: torch.Tensor) -> torch.Tensor:
    """Gather the rows of all processes: [B *D] to [R B *D]; every B must be the same.

    Gradients flow. The backward pass sums the gradients of all processes, since DDP averages those
    of parameters. If every process computes the same loss of all rows, parameters get the gradients
    of one process with the whole batch.
    """
    if all_ranks() is None:
        return values
    rows: torch.Tensor = _Gathered.apply(values)
    return rows


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor) -> torch.Tensor:
        mine = values.contiguous()
        parts = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, mine)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        grad = grads[0].contiguous().clone()
        dist.all_reduce(grad)
        return grad.chunk(dist.get_world_size())[dist.get_rank()]
