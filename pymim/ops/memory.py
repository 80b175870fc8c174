"""Refuse sizes that exceed the machine's memory before allocating them."""

from __future__ import annotations

import os


def check_memory(function: str, name: str, count: int, each: int) -> None:
    """Refuse a count of things of `each` bytes that exceed the machine's memory.

    Raises:
        ValueError: they do.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if count * each > memory:
        raise ValueError(
            f"{function}: {name}: expected at most {memory // each} (in {memory / 2**30:.0f} GiB), "
            f"got {count}; ask for fewer"
        )
