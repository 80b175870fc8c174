"""The table of results, and the line about the machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from math import inf
from pathlib import Path
from typing import Any

from pymim.bench.contest import Outcome, Times

SLOWER_BETWEEN = 1.2  # most time that an op may take between torch operators, relative to alone


def machine() -> dict[str, Any]:
    """Give processor, cores, memory and versions."""
    info = Path("/proc/cpuinfo")
    names = (
        [line for line in info.read_text().splitlines() if "model name" in line]
        if info.exists()
        else []
    )
    return {
        "processor": names[0].split(":")[1].strip() if names else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gigabytes": round(
            os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1
        ),
        "python": platform.python_version(),
        **{name: _version(name) for name in ("torch", "numpy", "POT", "faiss-cpu", "scikit-learn")},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def rows(outcome: Outcome) -> Iterator[dict[str, Any]]:
    """Yield one row of plain numbers per rival, the fastest first.

    ratio = the rival's faster mode over pymim's median. It holds for the processor named in the
    row.
    """
    case = outcome.address.find()
    (name, ours), *rivals = outcome.times.items()
    assert ours is not None, name
    first = {
        "share": case.work.amount / ours.middle / outcome.limit.rate
        if case.work and outcome.limit
        else None,
        "limit": outcome.limit._asdict() if outcome.limit else None,
        "between": outcome.between.middle / ours.middle if outcome.between else None,
    }
    processor = machine()["processor"]
    for rival, theirs in sorted(rivals, key=lambda one: one[1].better if one[1] else inf) or [
        ("", None)
    ]:
        ratio = theirs.better / ours.middle if theirs else None
        bar = case.bars.get(rival)
        yield {
            "op": case.op,
            "processor": processor,
            "shape": case.shape,
            "ours": _numbers(ours),
            "items": case.items,
            "rival": rival,
            "theirs": _numbers(theirs) if theirs else None,
            "ratio": ratio,
            "bar": bar,
            "met": None if bar is None or ratio is None else ratio >= bar,
            **first,
        }


def _numbers(times: Times) -> dict[str, float]:
    return {
        "seconds": times.middle,
        "better": times.better,
        "spread": times.spread,
        "extra_megabytes": times.extra_megabytes,
    }


def table(all_rows: list[dict[str, Any]]) -> str:
    """Give the rows of the comparison, aligned."""
    on = ", ".join(dict.fromkeys(row["processor"] for row in all_rows))
    header = [
        "op",
        "shape",
        "ours",
        "rival",
        "theirs",
        f"ratio on {on}",
        "bar",
        "of limit",
        "between",
        "memory",
    ]
    return aligned([header, *(_cells(row) for row in all_rows)])


def aligned(lines: list[list[str]]) -> str:
    """Align lines as text that is also a Markdown table; the first line is its head."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |"
        for line in lines
    ]
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(text)


def _cells(row: dict[str, Any]) -> list[str]:
    theirs, bar = row["theirs"], row["bar"]
    items = row["items"]
    ours = _time(row["ours"])
    if items:
        ours += f", {items[0] / row['ours']['seconds']:.0f} {items[1]}/s"
    slow = " SLOW" if (row["between"] or 0) > SLOWER_BETWEEN else ""
    absent = "absent" if row["rival"] else ""
    memory = [f"{part['extra_megabytes']:.0f}" for part in (row["ours"], theirs) if part]
    return [
        row["op"],
        row["shape"],
        ours,
        row["rival"],
        _time(theirs) if theirs else absent,
        f"{row['ratio']:.2f} x" if row["ratio"] else "",
        ""
        if bar is None
        else f"{bar:g} x" + {True: " met", False: " MISSED", None: ""}[row["met"]],
        f"{row['share']:.0%} of {row['limit']['by']}" if row["share"] else "",
        f"{row['between']:.2f} x{slow}" if row["between"] else "",
        " / ".join(memory) + " MB",
    ]


def _time(times: dict[str, float]) -> str:
    return f"{seconds(times['seconds'])} +-{times['spread']:.0%}"


def seconds(count: float) -> str:
    """Format seconds by three digits, in s, ms or us."""
    if count >= 1:
        return f"{count:.3g} s"
    return f"{count * 1e3:.3g} ms" if count >= 1e-3 else f"{count * 1e6:.3g} us"
