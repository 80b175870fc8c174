"""Describe in one line what a source holds: pictures, classes, files, and what was left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pymim.data.labels import some
from pymim.data.walk import Files
from pymim.errors import printable

if TYPE_CHECKING:
    from pymim.data.source import Source

NAMED = 3  # names of a kind that a message lists at most


@dataclass(frozen=True)
class About:
    """Hold the files a source was read from, and further notes, each a whole clause."""

    files: Files | None = None
    notes: tuple[str, ...] = ()


def describe(source: Source, items: str = "pictures") -> str:
    """Describe a source in one line."""
    abouts = _abouts(source)
    found = [about.files for about in abouts if about.files]
    place = " ".join(
        [f"{len(source):,} {items} {_classes(source)}", *(f"in {_files(files)}" for files in found)]
    )
    notes = [note for about in abouts for note in about.notes]
    return printable(
        "; ".join([place, *notes, *(left_out(files) for files in found if files.left)])
    )


def left_out(files: Files) -> str:
    """Say which files were left out, and why."""
    parts = [
        f"{len(names):,} {reason} ({some(names, NAMED)})" for reason, names in files.left.items()
    ]
    return f"left out: {', '.join(parts)}"


def untested(source: Source) -> str:
    """Say why no test set could be held out from a training set."""
    if source.labels is None:
        return "no test set and no labels"
    return (
        "no test set, and fewer than five pictures in each class, too few to hold out every fifth"
    )


def _abouts(source: Source | None) -> list[About]:
    """List the descriptions of a source and of the sources it is made from, innermost first."""
    found: list[About] = []
    while source is not None:
        about = getattr(source, "about", None)
        if about is not None:
            found.insert(0, about)
        source = getattr(source, "source", None)
    return found


def _classes(source: Source) -> str:
    if source.labels is None or not (source.labels >= 0).any():
        return "without labels"
    counts = np.bincount(source.labels[source.labels >= 0])
    found = counts[counts > 0]
    few, most = int(found.min()), int(found.max())
    size = f"{few:,} each" if few == most else f"{few:,} to {most:,} each"
    total = max(len(source.classes or ()), len(counts))
    of = f"{len(found):,}" if len(found) == total else f"{len(found):,} of the {total:,}"
    without = int((source.labels < 0).sum())
    return f"of {of} classes ({size}{f', {without:,} without a class' if without else ''})"


def _files(files: Files) -> str:
    if len(files.names) == 1:
        return str(files.root / files.names[0])
    return f"{len(files.names):,} files of {files.root}" + (
        f" ({', '.join(files.names)})" if len(files.names) <= NAMED else ""
    )
