"""Write tables of scores, as Markdown and for the terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from statistics import mean, stdev

from pymim.errors import ConfigError, printable

Scores = dict[str, list[float]]  # by measure, one a seed
Table = dict[str, Scores]  # by variant


def check_names(names: Iterable[str]) -> None:
    """Refuse a name that cannot be a folder and a row: a path, unprintable text, a duplicate.

    Raises: ConfigError.
    """
    seen: set[str] = set()
    for name in names:
        if (
            not name.isprintable()
            or re.search(r"[/\\]", name)
            or not name.strip(". ")
            or len(name.encode()) > 200
        ):
            raise ConfigError(
                f"compare: {name!r}: expected a name that a folder can have, got a path, or one "
                "with characters that cannot be printed; choose letters, digits and spaces"
            )
        if name.casefold() in seen:
            raise ConfigError(
                f"compare: {name!r}: expected a name for each row, got it twice; rename one"
            )
        seen.add(name.casefold())


def cell(text: str) -> str:
    r"""Write a text so that Markdown shows it as it is: no end of the cell, no HTML, no link."""
    return re.sub(r"([\\`*\[\]|])", r"\\\1", escape(printable(text), quote=False))


def measures(table: Table) -> list[str]:
    """List the columns: every measure of any row, in order of appearance."""
    return list(dict.fromkeys(measure for scores in table.values() for measure in scores))


def markdown(table: Table) -> str:
    """Write a row per variant and a column per measure, in per cent.

    A cell is the mean and, over several seeds, the standard deviation; a dash if there is none.
    """
    columns = measures(table)

    def score(values: list[float] | None) -> str:
        if not values:
            return "-"
        spread = f" +- {100 * stdev(values):.1f}" if len(set(values)) > 1 else ""
        return f"{100 * mean(values):.1f}{spread}"

    rows = [
        f"| {cell(name)} | " + " | ".join(score(scores.get(column)) for column in columns) + " |"
        for name, scores in table.items()
    ]
    head = f"| % | {' | '.join(map(cell, columns))} |"
    return "\n".join([head, "|---" * (len(columns) + 1) + "|", *rows]) + "\n"


def evaluated(result: dict[str, float], baselines: dict[str, dict[str, float]], step: int) -> str:
    """Write accuracies in per cent: a row for the encoder and one for each baseline."""
    widths = {name: max(12, len(name) + 2) for name in result}
    rows = {f"step {step}": result, **baselines}
    head = f"{'':12}" + "".join(f"{name:>{width}}" for name, width in widths.items())
    lines = [
        f"{label:12}" + "".join(_cell(row.get(name), width) for name, width in widths.items())
        for label, row in rows.items()
    ]
    return "\n".join([head, *lines])


def _cell(value: float | None, width: int) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:>{width - 1}.1%} "
