"""Plot how clusters settle: agreement with the previous ones and with the classes, over epochs."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from pymim.draw.image import save
from pymim.io import Folder
from pymim.io.metrics import read

CURVES = {"nmi_previous": "with the previous clusters", "nmi_labels": "with the classes"}


def draw(folder: Folder, path: Path) -> bool:
    """Plot normalised mutual information by epoch from clusters.jsonl, one panel per curve.

    Curves differ too much for one panel. Gives False, and draws nothing, if the run clustered less
    than twice.
    """
    rows = read(folder / "clusters.jsonl")
    curves = {name: [(row["epoch"], row[name]) for row in rows if name in row] for name in CURVES}
    curves = {name: curve for name, curve in curves.items() if curve}
    if len(rows) < 2:
        return False
    figure = Figure(figsize=(4.2 * len(curves), 3), layout="constrained")
    axes = figure.subplots(1, len(curves), squeeze=False)[0]
    for number, (axis, (name, curve)) in enumerate(zip(axes, curves.items(), strict=True)):
        axis.plot(*zip(*curve, strict=True), "o-", color=f"C{number}", markersize=4)
        axis.set_title(f"NMI {CURVES[name]}", fontsize=10)
        axis.set_xlabel("epoch", fontsize=8)
        axis.set_xlim(-0.5, rows[-1]["epoch"] + 0.5)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.tick_params(labelsize=8)
        axis.grid(alpha=0.3)
        axis.set_ylim(bottom=0)
    save(figure, path)
    return True
