"""Read parquet files: their pictures, still encoded, and their labels."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymim.data.columns import (
    ENCODED,
    PICTURES,
    Encoded,
    class_names,
    encoded,
    is_encoded,
    label_column,
    label_values,
    picture_column,
    picture_columns,
)
from pymim.data.labels import NONE, Labels, labels
from pymim.data.source import reason
from pymim.data.walk import Files
from pymim.errors import DataError


class Shard(NamedTuple):
    """Hold what was read from one file. names: of the classes, from its metadata."""

    file: Path
    length: int
    pictures: list[Encoded]
    column: str | None
    values: NDArray[Any] | None
    names: list[str] | None
    columns: tuple[str, ...] = ()  # columns that may hold pictures: the first one is read


def class_names_of(files: Files) -> list[str] | None:
    """Return the names of the classes in these files; only their labels are read."""
    numbered = labels_of([read(files.root / name, None, pictures=False) for name in files.names])
    return None if numbered is None else numbered.names


def holds_pictures(file: Path) -> bool:
    """Say whether a parquet file has a column of encoded pictures; False if it is unreadable."""
    try:
        with _opened(file) as opened:
            schema = opened.schema_arrow
    except DataError:
        return False
    name = picture_column(schema)
    return name is not None and is_encoded(schema.field(name).type)


def labels_of(shards: Sequence[Shard]) -> Labels | None:
    """Join the labels of all rows; a file without names uses another file's."""
    named = [shard for shard in shards if shard.names]
    usual = named[0].names if named else None
    if len(named) < len(shards):
        _refuse_orders(named, next(shard for shard in shards if not shard.names))
    parts = [
        None
        if shard.values is None
        else labels(
            shard.values, f"Parquet: {shard.file}: column {shard.column}", shard.names or usual
        )
        for shard in shards
    ]
    return joined(parts, [shard.length for shard in shards])


def _refuse_orders(named: Sequence[Shard], other: Shard) -> None:
    """Refuse numbers without names if other files number their names differently.

    Raises: DataError.
    """
    numbers = other.values is not None and other.values.dtype.kind in "biuf"
    another = next((shard for shard in named if shard.names != named[0].names), None)
    if numbers and another is not None:
        raise DataError(
            f"Parquet: {other.file}: expected names of its classes, as {named[0].file} and "
            f"{another.file} number theirs differently, got none; write the names in its metadata, "
            "or write labels as words"
        )


def joined(parts: Sequence[Labels | None], sizes: Sequence[int]) -> Labels | None:
    """Join labels of several files; classes are matched by name if the names differ."""
    known = [part for part in parts if part is not None]
    if not known:
        return None
    names = max((part.names for part in known), key=len)
    if any(part.names != names[: len(part.names)] for part in known):
        names = sorted({name for part in known for name in part.names})
    numbered = {name: number for number, name in enumerate(names)}
    numbers = [
        np.full(size, NONE)
        if part is None
        else np.array([*map(numbered.get, part.names), NONE])[part.numbers]
        for part, size in zip(parts, sizes, strict=True)
    ]
    return Labels(np.concatenate(numbers).astype(np.int64), names)


def read(file: Path, label: str | None, pictures: bool) -> Shard:
    """Read the labels of a file, and also its pictures if `pictures`. Raises: DataError."""
    with _opened(file) as opened:
        schema, count = opened.schema_arrow, opened.metadata.num_rows
        rows = _pictures(file, opened) if pictures else []
        column = label_column(schema.names, label)
        values = (
            label_values(opened.read([column])[column], f"Parquet: {file}: column {column}")
            if column
            else None
        )
    names = class_names(schema, column) if column else None
    return Shard(file, count, rows, column, values, names, tuple(picture_columns(schema)))


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """Open a parquet file with pyarrow. Raises: DataError with the fault in one line."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise DataError(
            f"Parquet: {file}: expected pyarrow, got none; pip install 'pymim[parquet]'"
        ) from None
    try:
        with parquet.ParquetFile(file) as opened:
            yield opened
    except (pyarrow.ArrowException, OSError, KeyError) as error:
        raise DataError(
            f"Parquet: path: expected a parquet file, got {file}: {reason(error)}"
        ) from None


def _pictures(file: Path, opened: Any) -> list[Encoded]:
    """Read the column of pictures. Raises: DataError if there is none."""
    schema = opened.schema_arrow
    name = picture_column(schema)
    _refuse_choice(file, picture_columns(schema))
    rows = (
        []
        if name is None
        else encoded(opened.read([name])[name], f"Parquet: {file}: column {name}")
    )
    first = (
        None if any(data for data, _ in rows) else next((path for _, path in rows if path), None)
    )
    if name is None or (first is not None and not _is_there(file.parent, first)):
        found = ", ".join(
            f"{n}: {str(k)[:60]}" for n, k in zip(schema.names, schema.types, strict=True)
        )
        missing = "" if first is None else f" ({name} names {first[:80]}, which is not there)"
        raise DataError(
            f"Parquet: path: expected a column struct<bytes, path> in {file}, or one of binary "
            f"values or of paths relative to it, got {found}{missing}; save the pictures in the "
            "Hugging Face layout"
        )
    return rows


def _refuse_choice(file: Path, names: Sequence[str]) -> None:
    """Refuse several columns of pictures if none has a usual name. Raises: DataError."""
    if len(names) > 1 and names[0] not in ENCODED:
        raise DataError(
            f"Parquet: path: expected one column of pictures in {file}, or one called "
            f"{PICTURES[0]}, got {', '.join(names)}; rename the one to train on"
        )


def _is_there(folder: Path, name: str) -> bool:
    try:
        return inside(folder, name).is_file()
    except ValueError:
        return False


def inside(folder: Path, name: str) -> Path:
    """Return a file by its name relative to `folder`.

    Raises: ValueError if it is outside the folder, or no regular file.
    """
    path = Path(os.path.normpath(folder / name))
    if not path.is_relative_to(os.path.normpath(folder)):
        raise ValueError(f"expected a file below {folder}, got {name}")
    if not path.is_file():
        raise ValueError(f"expected bytes or a file, got neither: there is no file {path}")
    return path
