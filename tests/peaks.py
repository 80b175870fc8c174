"""How much memory code takes: in a process of its own, as one that has had much shows no growth."""

import subprocess
import sys

SCRIPT = """
from pymim.memory import peak
{before}
had = peak()
{code}
print((peak() - had) / 2**20)
"""


def grown(before, code):
    """MiB by which the peak of a process grows with `code`, after `before`."""
    script = SCRIPT.format(before=before, code=code)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return float(done.stdout)
