"""Processes share rows and gradients, and end without a thread that could abort them."""

import json
from pathlib import Path

import torch

from pymim.world import gathered
from tests.launch import one_of_two


def of_gloo():
    names = (path.read_text() for path in Path("/proc/self/task").glob("*/comm"))
    return [name for name in names if "gloo" in name]


def work_and_leave(rank, folder):
    with one_of_two(rank, folder):
        module = torch.nn.Linear(2, 2)
        torch.optim.AdamW(module.parameters())  # imports what would keep the group
        wrapped = torch.nn.parallel.DistributedDataParallel(module)
        wrapped(torch.ones(1, 2)).sum().backward()
        torch.distributed.broadcast_object_list([""])
        during = of_gloo()
        del wrapped
    (folder / f"{rank}.json").write_text(json.dumps([during, of_gloo()]))


def test_no_thread_of_the_group_outlives_it(tmp_path):
    torch.multiprocessing.spawn(work_and_leave, (tmp_path,), nprocs=2)
    for rank in range(2):
        during, after = json.loads((tmp_path / f"{rank}.json").read_text())
        assert during and not after


ROWS = torch.arange(12.0).reshape(4, 3) / 7


def spread(rows, weight):
    """A loss of the whole batch: every row with every other, not in the same way."""
    made = rows @ weight
    return (made @ made.T).softmax(1).mul(torch.arange(16.0).reshape(4, 4)).sum()


def gather_and_learn(rank, folder):
    with one_of_two(rank, folder):
        linear = torch.nn.Linear(3, 2, bias=False)
        linear.weight.data = torch.eye(2, 3)
        wrapped = torch.nn.parallel.DistributedDataParallel(linear)
        mine = ROWS[2 * rank : 2 * rank + 2]
        made = gathered(wrapped(mine))
        loss = spread(made, torch.eye(2))
        loss.backward()
        ids = gathered(torch.tensor([rank, rank + 10]))
        found = [
            loss.item(),
            made.tolist(),
            linear.weight.grad.tolist(),
            ids.tolist(),
            ids.requires_grad,
        ]
    (folder / f"{rank}.json").write_text(json.dumps(found))


def test_rows_and_gradients_of_two_processes_are_those_of_one(tmp_path):
    torch.multiprocessing.spawn(gather_and_learn, (tmp_path,), nprocs=2)
    weight = torch.eye(2, 3).requires_grad_()
    loss = spread(ROWS @ weight.T, torch.eye(2))
    loss.backward()
    assert weight.grad.abs().min() > 0
    for rank in range(2):
        found, made, grad, ids, learns = json.loads((tmp_path / f"{rank}.json").read_text())
        torch.testing.assert_close(torch.tensor(found), loss.detach())
        torch.testing.assert_close(torch.tensor(made), ROWS @ torch.eye(3, 2))
        torch.testing.assert_close(torch.tensor(grad), weight.grad)
        assert ids == [0, 10, 1, 11] and not learns


def test_a_single_process_returns_its_rows():
    assert gathered(ROWS) is ROWS
