"""Cost against size: each op at doubling sizes of one axis, as numbers and as a plot."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from pymim.bench.contest import run_case
from pymim.bench.worker import Address


def measure(module: str, index: int, *, quick: bool = False) -> dict[str, Any]:
    """Measure the seconds per call of pymim and torch at each size of one Scaling."""
    scaling = importlib.import_module(module).scaling()[index]
    seconds: dict[str, list[float | None]] = {}
    for size in scaling.sizes:
        outcome = run_case(
            Address(module, "scaling", index, size), quick=quick, only={"pymim", "torch"}
        )
        for name, times in outcome.times.items():
            seconds.setdefault(name, []).append(times.middle if times else None)
    return {
        "op": scaling.op,
        "axis": scaling.axis,
        "sizes": list(scaling.sizes),
        "seconds": seconds,
    }


def plot(panels: list[dict[str, Any]], path: Path) -> None:
    """Plot one log-log panel per op and axis; the dotted line is cost in proportion to size."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import LogLocator, StrMethodFormatter

    columns = min(4, len(panels))
    lines = -(-len(panels) // columns)
    figure, axes = pyplot.subplots(
        lines, columns, figsize=(3.4 * columns, 2.8 * lines), squeeze=False
    )
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for axis, panel in zip(axes.flat, panels, strict=False):
        sizes = panel["sizes"]
        for name, seconds in panel["seconds"].items():
            axis.loglog(sizes, [1e3 * s if s else None for s in seconds], "o-", ms=3, label=name)
        start = panel["seconds"]["pymim"][0] * 1e3
        axis.loglog(sizes, [start * size / sizes[0] for size in sizes], "k:", lw=0.8)
        axis.set(title=panel["op"], xlabel=panel["axis"], ylabel="ms")
        axis.set_xticks(sizes, [str(size) for size in sizes], fontsize=8)
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.minorticks_off()
        axis.title.set_fontsize(9)
        axis.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
