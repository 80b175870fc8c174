"""The processes of a run: this one among its peers, and what they share."""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.nn.functional  # before there is a group: its defaults would keep the group for good
from torch import nn

from pymim import signals
from pymim.meeting import joined
from pymim.peers import Peers
from pymim.precision import autocast

PATIENCE = 1800.0  # seconds, as of torch's groups
Context = contextlib.AbstractContextManager[Any]
_OF_GLOO = ("gloo/", "pair closure", "Connection closed by peer", "Connection reset by peer", "Broken pipe")
_STOPPED = "stopped"
_peers: Peers | None = None  # as torch.distributed has its group
_broken = False


@dataclass(frozen=True)
class World:
    """This process among its peers, as torchrun started them (alone without it)."""

    rank: int
    size: int
    device: torch.device

    @classmethod
    def current(cls, patience: float = PATIENCE) -> World:
        """Joins the processes torchrun started, by NCCL on GPUs and gloo elsewhere.

        patience: seconds that another one is waited for, at most. Raises Lost where one does not come.
        """
        global _peers
        cuda = torch.cuda.is_available()
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if cuda else torch.device("cpu")
        if cuda:
            torch.cuda.set_device(device)
        if "RANK" not in os.environ:
            return cls(0, 1, device)
        if not dist.is_initialized():
            _peers = joined("nccl" if cuda else "gloo", patience)
        return cls(dist.get_rank(), dist.get_world_size(), device)

    @classmethod
    def meet(cls, patience: float = PATIENCE) -> None:
        """Waits until every process is here: what they see of a folder is then the same."""
        if cls.current(patience).size > 1:
            dist.barrier()

    @staticmethod
    def leave(code: int = 0, reason: str = "done") -> None:
        """Ends what current() began, threads included, and tells the others with which exit code and why. One that
        lets go of its last tensor while Python exits is an abort, for which torchrun kills the others."""
        global _peers, _broken
        if _peers is not None:
            _peers.end(code, reason)
            _broken |= _peers.broken
            _peers = None
        # After a mistake of the program others may still wait for this process, and to end would wait for them.
        if dist.is_initialized() and code != 1 and not _broken:
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
        return [float(value) for value in (self.total(values) / self.size).tolist()]

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over the processes, in place."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def rows(self, values: torch.Tensor) -> torch.Tensor:
        """The rows of all processes, one process after another: of each [n *D], where n may differ."""
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
        """Whether the flag is set in any process."""
        if self.size == 1:
            return flag
        shared = torch.tensor(float(flag), device=self.device)
        dist.all_reduce(shared)
        return bool(shared > 0)

    def heed(self) -> None:
        """Raise Asked, in every process at this very place, where one of them was asked to stop."""
        if self.any(bool(signals.requested())):
            raise signals.asked(together=True)

    def led(self, action: Callable[[], object]) -> None:
        """Have the first process do what may take long, while the others wait, as long as it lives.

        Raises: Asked, in all of them, where one was asked to stop: the action ends at once.
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
        """What a forward pass is computed in (`pymim.precision`)."""
        return autocast(self.device, precision)


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Inside, what fails because another process is gone raises what is known of it: Lost, the error that ended the
    other one, or Asked where one of them was asked to stop."""
    try:
        yield
    except RuntimeError as error:
        if _peers is None or not _is_of_others(error):
            raise
        raise _peers.explained(error) from error


def is_broken() -> bool:
    """Whether a collective failed: threads of torch may then wait for a process that is stopped, and Python, where
    it ends, for them."""
    return _broken


def _is_of_others(error: RuntimeError) -> bool:
    return isinstance(error, dist.DistError) or any(words in str(error) for words in _OF_GLOO)


def all_ranks() -> dist.ProcessGroup | None:
    """The group of all processes, for what needs the global batch; None where there is one process."""
    alone = not dist.is_initialized() or dist.get_world_size() == 1
    return None if alone else dist.group.WORLD


def gathered(values: torch.Tensor) -> torch.Tensor:
    """Give the rows of all processes, one process after another: [B *D] to [R B *D]; every B must be the same.

    Gradients flow. The backward pass sums over processes what each did with the rows, as DDP takes the mean
    of parameters' gradients: where every process computes the same loss of all rows, the gradients of
    parameters are those of one process that has the whole batch.
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
