"""Process memory: keep freed pages for reuse, and report the peak."""

from __future__ import annotations

import ctypes
import os
import re
import resource
import sys
from pathlib import Path

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # options of glibc's mallopt


def keep() -> None:
    """Keep the memory that CPU tensors free for the next tensors, in large pages.

    Call it before torch makes its first tensor. By default glibc returns large blocks to the
    system, which clears each page again before its next use. Writing activations larger than the
    cache then takes two to three times as long. A system without glibc or large pages skips that
    part.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # torch's own switch
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)


def peak() -> int:
    """Return the peak memory of this process in bytes.

    Without /proc the figure may be that of the parent process, since the system's other counter
    survives exec.
    """
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"VmHWM:\s*(\d+) kB", status.read_text())):
        return int(found[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
