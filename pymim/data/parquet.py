"""Read pictures from parquet files in the Hugging Face layout: a struct {bytes, path}, a label."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pymim.data.about import About
from pymim.data.decode import decode
from pymim.data.labels import unpacked
from pymim.data.shards import Shard, inside, labels_of, read
from pymim.data.source import Sample, Unreadable, reason
from pymim.data.walk import Files
from pymim.errors import DataError


class Parquet:
    """Rows of one or several parquet files as pictures.

    The encoded pictures are kept in memory as bytes. A picture that is only named by a path is read
    from there, below the folder of its parquet file.

    path: one parquet file or several.
    channels: what each picture is converted to.
    label: name of the label column; by default the first usual one.
    classes: names of the training set's classes, which number the classes of a test set.

    Raises: DataError if a file cannot be read or holds no pictures.
    """

    def __init__(
        self,
        path: str | Path | Sequence[str | Path] | Files,
        channels: int = 3,
        label: str | None = None,
        classes: Sequence[str] | None = None,
    ):
        found = path if isinstance(path, Files) else _given(path)
        self.files = [found.root / name for name in found.names]
        self.channels = channels
        shards = [read(file, label, pictures=True) for file in self.files]
        self.firsts = np.cumsum([0] + [shard.length for shard in shards])
        rows = [row for shard in shards for row in shard.pictures]
        if not rows:
            raise DataError(
                f"Parquet: path: expected pictures in {self.files[0]}, got no rows; choose another "
                "file"
            )
        self.ends = np.cumsum([0] + [len(file or b"") for file, _ in rows], dtype=np.int64)
        self.blob = np.frombuffer(b"".join(file or b"" for file, _ in rows), np.uint8)
        self.names = {i: name for i, (file, name) in enumerate(rows) if not file and name}
        numbered = labels_of(shards)
        if numbered and classes is not None:
            numbered = numbered.like(classes, str(self.files[0]))
        self.classes, self.labels = unpacked(numbered)
        self.about = About(found, _columns(shards))

    def __len__(self) -> int:
        return len(self.ends) - 1

    def __getitem__(self, index: int) -> Sample:
        try:
            image = decode(self._file(index), self.channels)
        except Exception as error:  # decoders raise errors of any class
            raise Unreadable(index, reason(error)) from error
        return Sample(image, -1 if self.labels is None else int(self.labels[index]))

    def path(self, index: int) -> str:
        """Return the parquet file, and the row in it."""
        file = int(np.searchsorted(self.firsts, index, "right")) - 1
        return f"{self.files[file]}[{index - self.firsts[file]}]"

    def _file(self, index: int) -> bytes | Path:
        if index not in self.names:
            if self.ends[index] == self.ends[index + 1]:
                raise ValueError("expected a picture, got an empty row")
            return self.blob[self.ends[index] : self.ends[index + 1]].tobytes()
        file = int(np.searchsorted(self.firsts, index, "right")) - 1
        return inside(self.files[file].parent, self.names[index])


def _columns(shards: Sequence[Shard]) -> tuple[str, ...]:
    """Say which column holds the pictures, if another column might.

    Raises: DataError if files differ in it.
    """
    named = {shard.columns[0]: shard.file for shard in shards if shard.columns}
    if len(named) > 1:
        (first, file), (other, another) = list(named.items())[:2]
        raise DataError(
            f"Parquet: path: expected pictures in one column, got {first} in {file} and {other} in "
            f"{another}; give both columns one name"
        )
    left = sorted({name for shard in shards for name in shard.columns[1:]})
    return (
        (f"pictures are read from the column {next(iter(named))}, not from {', '.join(left)}",)
        if left
        else ()
    )


def _given(path: str | Path | Sequence[str | Path]) -> Files:
    paths = [Path(p) for p in ([path] if isinstance(path, str | Path) else path)]
    root = Path(os.path.commonpath([p.parent for p in paths]))
    return Files(root, [str(p.relative_to(root)) for p in paths])
