"""Plot loss, learning rate and probes over the steps of a run."""

from __future__ import annotations

import math
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from pymim.draw.image import save
from pymim.io import Folder
from pymim.io.figures import evaluations, scores
from pymim.io.metrics import read

_NOT_LOSSES = {
    *(
        "step",
        "epoch",
        "images",
        "time",
        "rate",
        "images_per_second",
        "data_wait",
        "memory_mib",
        "broken",
    ),
    "loss_of_step",
}


def draw(folder: Folder, path: Path) -> None:
    """Plot four panels from metrics.jsonl and evaluation/."""
    rows = read(folder / "metrics.jsonl")
    steps = [row["step"] for row in rows]
    figure = Figure(figsize=(14, 3.2), layout="constrained")
    titles = ("loss", "gauges", "learning rate", "probe accuracy (%)")
    axes = dict(zip(titles, figure.subplots(1, 4), strict=True))
    loss, gauge = axes["loss"], axes["gauges"]
    for name in sorted({name for row in rows for name in row} - _NOT_LOSSES):
        axis, values = gauge if "/" in name else loss, [row.get(name) for row in rows]
        # A single objective equals the total loss: draw it once.
        if name == "loss" or values != [row.get("loss") for row in rows]:
            axis.plot(steps, values, label=name, linewidth=1.2)
    gauge.set_yscale("log")
    gauge.yaxis.set_major_formatter(LogFormatter())  # 50, not 5 x 10^1
    gauge.yaxis.set_minor_formatter(LogFormatter())
    axes["learning rate"].plot(steps, [row["rate"] for row in rows], linewidth=1.2)
    _probes(axes["probe accuracy (%)"], folder)
    for title, axis in axes.items():
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("step", fontsize=8)
        axis.set_xlim(0, 1.03 * max(steps, default=1))
        axis.tick_params(which="both", labelsize=8)
        axis.grid(alpha=0.3)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize=7)
    save(figure, path)


def _probes(axis: Axes, folder: Folder) -> None:
    """Plot each probe over the steps; dashed and dotted lines are raw pixels and the untrained
    encoder.
    """
    results = evaluations(folder.path)
    if not results:
        axis.text(0.5, 0.5, "no labels", ha="center", transform=axis.transAxes)
        return
    names = list(scores(results[-1]))
    steps = [result["step"] for result in results]
    for number, name in enumerate(names):
        axis.plot(
            steps,
            [100 * result.get(name, math.nan) for result in results],
            f"C{number}o-",
            label=name,
        )
        for style, (baseline, row) in zip(
            ("--", ":"), results[-1].get("baselines", {}).items(), strict=False
        ):
            if name in row:
                axis.axhline(
                    100 * row[name], color=f"C{number}", ls=style, lw=1, label=f"{name}, {baseline}"
                )
