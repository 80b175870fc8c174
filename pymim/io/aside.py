"""Set aside what a run wrote after the step it resumes from, in RUN/aside.

Checkpoints, evaluations, pictures and rows of later steps belong to an abandoned branch of the run.
They are moved so that code which takes the newest file never takes one of them. They are deleted
once the run has passed their step.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from pathlib import Path

from pymim.io import metrics
from pymim.io.disk import publish, write_synced
from pymim.io.seal import step_of

PLACES = ("checkpoints", "evaluation", "pictures")


def move(run: Path, step: int) -> list[str]:
    """Set aside files and rows of later steps, and list them.

    Do not call it for a run whose metrics.jsonl is open.
    """
    return move_numbered(run, step) + _move_rows(run, step)


def move_numbered(run: Path, step: int) -> list[str]:
    """Set aside files and folders named after later steps; list their paths within the run."""
    later = [path for place in PLACES for path in _numbered(run / place) if _number(path) > step]
    for path in later:
        _replace(path, run / "aside" / path.relative_to(run))
    return [str(path.relative_to(run)) for path in later]


def adopt(run: Path, path: Path, step: int) -> list[str]:
    """Copy a checkpoint from elsewhere into the run.

    Returns the path of a checkpoint of the same step that was set aside, if there was one.
    """
    final = run / "checkpoints" / f"step-{step:08d}"
    if path.resolve().parent == final.parent.resolve() and step_of(path) == step:
        return []
    there = final.exists()
    beside = final.with_name(f".writing-{final.name}")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        final.parent.mkdir(exist_ok=True)
        beside.mkdir()
        for file in path.iterdir():
            write_synced(beside / file.name, file.read_bytes())
        if there:
            _replace(final, run / "aside" / final.relative_to(run))
        publish(beside, final)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return [str(final.relative_to(run))] if there else []


def drop(run: Path, step: int) -> None:
    """Delete what was set aside up to this step: the run has passed it."""
    aside = run / "aside"
    if not aside.is_dir():
        return
    for path in [
        path for place in PLACES for path in _numbered(aside / place) if _number(path) <= step
    ]:
        _remove(path)
    for path in aside.glob("*.jsonl"):
        if all(row["step"] <= step for row in metrics.read(path)):
            path.unlink()
    if not any(aside.glob("*.jsonl")) and not any(_numbered(aside / place) for place in PLACES):
        for path in aside.glob("*.gin"):  # the configurations of what was just deleted
            path.unlink()
    for folder in (*(aside / place for place in PLACES), aside):
        with contextlib.suppress(OSError):  # not empty yet
            folder.rmdir()


def _move_rows(run: Path, step: int) -> list[str]:
    moved = []
    for path in run.glob("*.jsonl"):
        rows = metrics.read(path)
        if later := [row for row in rows if row["step"] > step]:
            beside = run / "aside" / path.name
            metrics.write_rows(beside, metrics.read(beside) + later)
            metrics.write_rows(path, [row for row in rows if row["step"] <= step])
            moved.append(f"{len(later)} rows of {path.name}")
    return moved


def _numbered(folder: Path) -> list[Path]:
    """List a folder's entries named after a step, in order of their steps."""
    return sorted((path for path in folder.glob("*-*") if _number(path) >= 0), key=_number)


def _number(path: Path) -> int:
    match = re.fullmatch(r"[\w-]+-(\d+)", path.stem)
    return int(match[1]) if match else -1


def _replace(path: Path, other: Path) -> None:
    other.parent.mkdir(parents=True, exist_ok=True)
    _remove(other)
    path.rename(other)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
