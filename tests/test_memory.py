"""What a process keeps."""

import subprocess
import sys

FAULTS = """
import resource, sys, torch
from pymim import memory
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
    done = subprocess.run([sys.executable, "-c", FAULTS, word], check=True, capture_output=True, text=True)
    return int(done.stdout)


def test_what_is_freed_is_not_fetched_again():
    assert faults("keep") < 0.1 * faults("leave")
