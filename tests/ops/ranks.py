"""Two ranks of a gloo group, each a thread of this process."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import torch.distributed as dist


def two_ranks(work):
    """What `work(rank, group)` gives on each of two ranks."""
    store = dist.HashStore()

    def run(rank):
        return work(rank, dist.ProcessGroupGloo(store, rank, 2, timedelta(seconds=60)))

    with ThreadPoolExecutor() as threads:
        return [*threads.map(run, range(2))]
