"""What a process keeps."""

import os
import subprocess
import sys

import numpy as np

from pymim.loop import memory

FAULTS = """
import resource, sys, torch
from pymim.loop import memory
if sys.argv[1] == "keep":
    memory.keep()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
torch.ones(16 << 20)
before = faults()
for _ in range(8):
    torch.ones(16 << 20)  # 64 MB, which glibc gives back
print(faults() - before)
"""


def faults(word):
    fresh = {name: value for name, value in os.environ.items() if not name.startswith("THP_MEM")}
    words = [sys.executable, "-c", FAULTS, word]
    done = subprocess.run(words, check=True, capture_output=True, text=True, env=fresh)
    return int(done.stdout)


def test_the_peak_is_this_process_own():
    had = memory.peak()
    blocks = [np.ones(1 << 20) for _ in range(32)]  # 256 MiB
    assert memory.peak() >= 2**28 and memory.peak() >= had
    script = "from pymim.loop.memory import peak; print(peak())"
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert int(done.stdout) < sum(block.nbytes for block in blocks)


def test_freed_memory_is_reused():
    assert faults("keep") < 0.1 * faults("leave")
