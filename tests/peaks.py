"""How much memory code takes: in a process of its own, as one that has had much shows no growth."""

import subprocess
import sys

import torch
from torch.utils._python_dispatch import TorchDispatchMode

SCRIPT = """
from pymim.loop.memory import peak
{before}
had = peak()
{code}
print((peak() - had) / 2**20)
"""


def grown(before, code):
    """MiB by which the peak of a process grows with `code`, after `before`."""
    script = SCRIPT.format(before=before, code=code)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


class Largest(TorchDispatchMode):
    """While it is entered, `bytes` is the size of the largest tensor that was made."""

    bytes = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor):
            self.bytes = max(self.bytes, out.untyped_storage().nbytes())
        return out
