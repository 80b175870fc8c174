"""A run in two processes, and one of two processes that a test spawns."""

import contextlib
import os
import subprocess
import sys

import torch.distributed as dist

from pymim.world import World


def in_two_processes(command):
    """`python -m pymim.run` with the words of `command`, by torchrun on a port of its own."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*launcher, "-m", "pymim.run", *command], check=True, capture_output=True, env=environment)


@contextlib.contextmanager
def one_of_two(rank, folder):
    """Process `rank` of two that meet in a file of this folder."""
    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    yield
    World.leave()
