"""Keep the figures that a run measured, each with its protocol (`pymim.io.protocol`).

evaluation/step-N.json holds the run's own evaluation at step N, evaluation/eval-N.json one of
--mode eval. evaluation/baselines.json holds the figures of raw pixels and of the untrained encoder.
"""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from pymim.io.folder import Folder
from pymim.io.protocol import Protocol, difference

Scores = dict[str, float]
BESIDE = ("step", "baselines", "protocol")  # the entries of an evaluation that are not figures
log = logging.getLogger("pymim.io")


class Row(NamedTuple):
    """Hold the figures of one baseline and the protocol they were measured with."""

    name: str
    figures: Scores
    protocol: Protocol


class Baselines:
    """Keep a run's measured baselines in evaluation/baselines.json.

    say: called with a line whenever a baseline is measured again, and why.
    """

    def __init__(self, folder: Folder, say: Callable[[str], None]) -> None:
        self.folder, self.say = folder, say
        self.path = folder / "evaluation" / "baselines.json"
        self.rows = self._read()

    def get(self, name: str, protocol: Protocol, measure: Callable[[], Scores]) -> Scores:
        """Return a baseline's figures for this protocol; measure them if they are not there.

        Raises: Unwritable.
        """
        protocol = json.loads(json.dumps(protocol))  # tuples become lists, as in the file
        others = [row for row in self.rows if row.name == name]
        for row in others:
            if not difference(row.protocol, protocol):
                return row.figures
        if others:
            found = difference(others[-1].protocol, protocol)
            self.say(f"evaluation: the baseline {name} is measured again: {found}")
        self.rows.append(Row(name, measure(), protocol))
        self.folder.write_json("evaluation/baselines.json", [row._asdict() for row in self.rows])
        return self.rows[-1].figures

    def _read(self) -> list[Row]:
        if not self.path.exists():
            return []
        found = _json(self.path)
        if isinstance(found, list) and all(_is_row(each) for each in found):
            return [Row(**each) for each in found]
        older = isinstance(found, dict)
        why = (
            "does not say what its figures were measured with"
            if older
            else "is cut short or changed"
        )
        self.say(f"evaluation: {self.path}: {why}: the baselines are measured again")
        return []


def _is_row(found: Any) -> bool:
    return isinstance(found, dict) and {name: type(found[name]) for name in found} == {
        "name": str,
        "figures": dict,
        "protocol": dict,
    }


def evaluations(run: Path) -> list[dict[str, Any]]:
    """Read a run's own evaluations, oldest first; warn about files that cannot be read."""
    found = []
    for file in sorted((run / "evaluation").glob("step-*.json")):
        evaluation = _json(file)
        if isinstance(evaluation, dict) and isinstance(evaluation.get("step"), int):
            found.append(evaluation)
        else:
            log.warning("%s: is no valid evaluation (cut short or changed), and is left out", file)
    return found


def scores(row: dict[str, Any]) -> Scores:
    """Return only the figures of an evaluation."""
    return {
        name: value
        for name, value in row.items()
        if name not in BESIDE and isinstance(value, int | float)
    }


def free_name(folder: Folder, step: int, protocol: Protocol) -> str:
    """Name an evaluation of --mode eval so that it replaces only one of the same protocol."""
    protocol = json.loads(json.dumps(protocol))
    for number in itertools.count(1):
        name = f"eval-{number}-{step:08d}" if number > 1 else f"eval-{step:08d}"
        file = folder / "evaluation" / f"{name}.json"
        if not file.exists() or _protocol(file) == protocol:
            return name
    raise AssertionError("there is always a next number")


def _protocol(file: Path) -> Any:
    found = _json(file)
    return found.get("protocol") if isinstance(found, dict) else None


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
