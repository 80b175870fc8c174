"""What is put around a method: gradients of several processes, and norms of several batches."""

import os

import pytest
import torch
from torch import nn

from pymim.contracts import Batch, Output
from pymim.loop.wrap import synchronise_norms, synchronise_only, wrap
from pymim.world import World
from tests.launch import one_of_two


class Masked(nn.BatchNorm2d):
    """A norm that does something of its own."""


def test_torch_s_own_norms_are_synchronised_and_derived_ones_keep_their_class():
    inner = nn.Sequential(nn.BatchNorm1d(4), Masked(4))
    module = nn.ModuleDict({"norm": nn.BatchNorm2d(4), "inner": inner, "volume": nn.BatchNorm3d(4)})
    weight, names = module["norm"].weight, list(module.state_dict())
    synchronise_norms(module)
    assert type(module["inner"][1]) is Masked
    kinds = {type(part) for part in (module["norm"], module["inner"][0], module["volume"])}
    assert kinds == {nn.SyncBatchNorm}
    assert module["norm"].weight is weight and list(module.state_dict()) == names


class Parts(nn.Module):
    """`sometimes` learns in odd steps, and `never` gives something that no loss depends on."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.always, self.sometimes, self.never = (nn.Linear(3, 3) for _ in range(3))

    def forward(self, batch, step):
        made = self.always(batch.views[0])
        loss = made.square().mean() + (self.sometimes(made).square().mean() if step % 2 else 0)
        return Output(loss, {"never": self.never(made)}, {}, {})


class Whole(nn.Linear):
    """All of it learns."""

    def forward(self, batch, step):
        return Output(super().forward(batch.views[0]).sum(), {}, {}, {})


def batch_of(rows):
    return Batch([rows], torch.arange(len(rows)), torch.zeros(len(rows)))


def learn(forward, batch, step):
    """The gradients of one step, in pieces of two rows."""
    pieces = batch.split(2)
    for piece in pieces:
        with synchronise_only(forward, piece is pieces[-1]):
            (forward(piece, step).loss / len(pieces)).backward()


def rows_of(step):
    return torch.randn(8, 3, generator=torch.Generator().manual_seed(step))


def as_one_of_two(rank, folder):
    printed = os.open(folder / f"{rank}.log", os.O_WRONLY | os.O_CREAT)
    os.dup2(printed, 2)  # where torch itself writes
    with one_of_two(rank, folder):
        method = Parts()
        forward = wrap(method, World(rank, 2, torch.device("cpu")), False, False)
        found = {}
        for step in range(4):
            learn(forward, batch_of(rows_of(step)[4 * rank : 4 * rank + 4]), step)
            found |= {
                f"{step} {n}": p.grad.clone()
                for n, p in method.named_parameters()
                if p.grad is not None
            }
            method.zero_grad(set_to_none=True)
        torch.save(found, folder / f"{rank}.pt")
        forward = wrap(Whole(3, 3), World(rank, 2, torch.device("cpu")), False, False)
        learn(forward, batch_of(rows_of(0)), 0)
        del forward


@pytest.fixture(scope="module")
def gradients(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    torch.multiprocessing.spawn(as_one_of_two, (folder,), nprocs=2)
    assert "unused" not in "".join((folder / f"{rank}.log").read_text() for rank in range(2)), (
        "no advice of torch's"
    )
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


def test_gradients_of_two_processes_are_those_of_one(gradients):
    method = Parts()
    for step in range(4):
        learn(method, batch_of(rows_of(step)), step)
        for name, parameter in method.named_parameters():
            for found in gradients:
                if parameter.grad is not None:
                    torch.testing.assert_close(found[f"{step} {name}"], parameter.grad)
        method.zero_grad(set_to_none=True)


def test_unused_parameters_have_no_gradient_and_block_no_process(gradients):
    for found in gradients:
        assert not [name for name in found if "never" in name]
        assert {name[0] for name in found if "sometimes" in name} == {"1", "3"}
        assert {name[0] for name in found if "always" in name} == {"0", "1", "2", "3"}
