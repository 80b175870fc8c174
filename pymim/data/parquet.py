"""Pictures in parquet files as the Hugging Face hub keeps them: a struct {bytes, path}, and perhaps a label."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pymim.data.decode import decode
from pymim.data.source import Sample, Unreadable
from pymim.errors import DataError

LABELS = ("label", "labels", "fine_label", "class")


class Parquet:
    """Rows of one parquet file, or of several, as pictures. The encoded pictures lie in memory, as plain bytes.

    label: name of the label's column; by default the first of the usual ones that is there.
    """

    def __init__(self, path: str | Path | Sequence[str | Path], channels: int = 3, label: str | None = None):
        self.files = [Path(p) for p in ([path] if isinstance(path, str | Path) else path)]
        self.channels = channels
        table = _table(self.files)
        image, name = self._columns(table, label)
        self.labels = None if name is None else table[name].to_numpy().astype(np.int64)
        self.classes = _class_names(table, name)
        if self.classes is None and self.labels is not None:
            self.classes = [str(number) for number in range(int(self.labels.max()) + 1)]
        self.blob, self.ends = _bytes(table, image)
        if not len(self):
            raise DataError(
                f"Parquet: path: expected pictures in {self.files[0]}, got no rows; choose another file"
            )

    def __len__(self) -> int:
        return len(self.ends) - 1

    def __getitem__(self, index: int) -> Sample:
        try:
            image = decode(self.blob[self.ends[index] : self.ends[index + 1]].tobytes(), self.channels)
        except Exception as error:  # decoders raise whatever they like
            raise Unreadable(index, str(error)) from error
        return Sample(image, -1 if self.labels is None else int(self.labels[index]))

    def path(self, index: int) -> str:
        return f"{self.files[0]}[{index}]"

    def _columns(self, table: Any, label: str | None) -> tuple[str, str | None]:
        """Names of the column of pictures and of that of labels."""
        names = table.column_names
        images = [n for n, kind in zip(names, table.schema.types, strict=True) if "bytes: binary" in str(kind)]
        if not images:
            found = ", ".join(names)
            raise DataError(
                f"Parquet: path: expected a column struct<bytes, path> in {self.files[0]}, got {found}; "
                "save the pictures in the Hugging Face layout"
            )
        if label is not None and label not in names:
            raise DataError(f"Parquet: label: expected one of {', '.join(names)}, got {label}; name one of them")
        return images[0], label or next((n for n in LABELS if n in names), None)


def _table(files: list[Path]) -> Any:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise DataError(f"{files[0]}: needs pyarrow; pip install 'pymim[parquet]'") from None
    try:
        return pyarrow.concat_tables([parquet.ParquetFile(file).read() for file in files])
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise DataError(f"Parquet: path: expected a parquet file, got {files[0]}: {error}") from None


def _bytes(table: Any, image: str) -> tuple[np.ndarray, np.ndarray]:
    """All pictures one after another, uint8, and where each begins, int64 [N + 1]. A missing one has no bytes."""
    pictures = [chunk.field("bytes").to_numpy(zero_copy_only=False) for chunk in table[image].chunks]
    rows = [row or b"" for chunk in pictures for row in chunk]
    ends = np.concatenate(([0], np.cumsum([len(row) for row in rows], dtype=np.int64)))
    return np.frombuffer(b"".join(rows), np.uint8), ends


def _class_names(table: Any, label: str | None) -> list[str] | None:
    """As the hub's metadata has them."""
    try:
        features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
        names: list[str] = features[label]["names"]
    except (KeyError, TypeError):
        return None
    return names
