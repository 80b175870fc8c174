"""Memory that a process keeps, and has had."""

from __future__ import annotations

import ctypes
import os
import re
import resource
import sys
from pathlib import Path

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of glibc's mallopt


def keep() -> None:
    """Keeps what tensors on the CPU free for the next ones, in large pages.

    To be called before torch makes its first tensor. Given back to the system, as glibc does with what is large,
    memory would come again page by page, each of them cleared first; activations that no cache holds then take two
    to three times as long to write. Where there is no glibc, or no large pages, that part of it does not happen.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # torch's own switch
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)


def peak() -> int:
    """The most bytes this process has had in memory; where there is no /proc, it or the one that started it, as the
    system's other account goes on across an exec."""
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"VmHWM:\s*(\d+) kB", status.read_text())):
        return int(found[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
