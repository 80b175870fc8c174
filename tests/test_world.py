"""Processes that work together end together: none leaves a thread behind that could abort it."""

import json
from pathlib import Path

import torch

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
