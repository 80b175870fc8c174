"""A run in two processes."""

import os
import subprocess
import sys


def in_two_processes(command):
    """`python -m pymim.run` with the words of `command`, by torchrun on a port of its own."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*launcher, "-m", "pymim.run", *command], check=True, capture_output=True, env=environment)
