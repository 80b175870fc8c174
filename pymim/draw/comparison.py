"""Plot the scores of several variants as bars."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from statistics import mean

from matplotlib.figure import Figure

from pymim.draw.image import save
from pymim.errors import printable
from pymim.tables import Table, measures


def draw(table: Table, path: Path, grey: Collection[str] = ()) -> None:
    """Plot one panel per measure: a bar at each variant's mean, some `grey`, and a dot per seed."""
    columns = measures(table)
    figure = Figure(
        figsize=(1.2 + 2.6 * len(columns), 1.2 + 0.32 * len(table)), layout="constrained"
    )
    for axis, measure in zip(
        figure.subplots(1, len(columns), sharey=True, squeeze=False)[0], columns, strict=True
    ):
        for row, (name, scores) in enumerate(table.items()):
            values = [100 * value for value in scores.get(measure, [])]
            if values:
                axis.barh(row, mean(values), color="0.75" if name in grey else "C0", height=0.65)
                axis.plot(values, [row] * len(values), "k.", ms=4)
        axis.set_yticks(range(len(table)), [*map(printable, table)], fontsize=8, parse_math=False)
        axis.set_title(f"{printable(measure)} (%)", fontsize=9, parse_math=False)
        axis.tick_params(labelsize=8)
    figure.axes[0].invert_yaxis()
    save(figure, path)
