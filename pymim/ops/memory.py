"""Sizes that no memory holds, refused before they are asked for."""

from __future__ import annotations

import os


def check_memory(function: str, name: str, count: int, each: int) -> None:
    """Refuses a count of things of so many bytes that are more than the machine's memory."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if count * each > memory:
        raise ValueError(
            f"{function}: {name}: expected at most {memory // each} (in {memory / 2**30:.0f} GiB), "
            f"got {count}; ask for fewer"
        )
