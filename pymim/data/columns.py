"""Find the columns of pictures and labels in a parquet file, and read their values."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymim.data.labels import TAKEN
from pymim.errors import DataError

LABELS = ("label", "labels", "fine_label", "class")
# Columns of the encoded files themselves, and of their names beside the parquet file.
ENCODED = (
    "image",
    "img",
    "picture",
    "jpg",
    "jpeg",
    "png",
    "webp",
    "bytes",
    "image_bytes",
    "content",
)
PICTURES = ENCODED[:3]
NAMES = (
    "image",
    "img",
    "file_name",
    "filename",
    "image_path",
    "img_path",
    "file_path",
    "filepath",
    "path",
    "file",
)

Encoded = tuple[bytes | None, str | None]  # a picture's file, and the file's name


def picture_column(schema: Any) -> str | None:
    """Return the column of pictures; of several, such as masks next to them, the usual name wins.

    Columns of structs {bytes, path} come first, then binary values, then words that may be file
    names. A binary column called an image wins over structs that are not.
    """
    return next(iter(picture_columns(schema)), None)


def picture_columns(schema: Any) -> list[str]:
    """List all columns that may hold pictures, the likeliest first: by type, then by usual name."""
    from pyarrow import types

    kinds = {name: _inner(kind) for name, kind in zip(schema.names, schema.types, strict=True)}
    structs = [
        n
        for n, kind in kinds.items()
        if types.is_struct(kind) and any(f.name == "bytes" for f in kind)
    ]
    binary = [n for n, kind in kinds.items() if _is_binary(kind) and n not in LABELS]
    binary = [n for n in ENCODED if n in binary] or (binary if len(binary) == 1 else [])
    structs = [*(n for n in ENCODED if n in structs), *(n for n in structs if n not in ENCODED)]
    first = [n for n in PICTURES if n in binary] if not {*structs} & {*ENCODED} else []
    words = [
        n
        for n in NAMES
        if n in kinds and (types.is_string(kinds[n]) or types.is_large_string(kinds[n]))
    ]
    return [*first, *structs] or binary or words[:1]


def is_encoded(kind: Any) -> bool:
    """Say whether a column holds the files themselves rather than their names."""
    from pyarrow import types

    inner = _inner(kind)
    return bool(types.is_struct(inner) or _is_binary(inner))


def encoded(column: Any, where: str) -> list[Encoded]:
    """Read each row's picture. Raises: DataError if a row holds several."""
    chunks = _one_each(column, where, "one picture a row").chunks
    return [row for chunk in chunks for row in _rows(chunk)]


def _rows(chunk: Any) -> list[Encoded]:
    if not hasattr(chunk, "field"):
        binary = _is_binary(chunk.type)
        return [(value, None) if binary else (None, value) for value in _values(chunk)]
    paths = [None] * len(chunk)
    if any(field.name == "path" for field in chunk.type):
        paths = _values(chunk.field("path"))
    missing = chunk.is_null().to_numpy(zero_copy_only=False)
    rows = zip(_values(chunk.field("bytes")), paths, missing, strict=True)
    return [(None, None) if gone else (file, path) for file, path, gone in rows]


def label_column(names: Sequence[str], asked: str | None) -> str | None:
    """Return the column `asked`, or the first usual one. Raises: DataError if it is missing."""
    if asked is not None and asked not in names:
        raise DataError(
            f"Parquet: label: expected one of {', '.join(names)}, got {asked}; choose one of them"
        )
    return asked or next((name for name in LABELS if name in names), None)


def label_values(column: Any, where: str) -> NDArray[Any]:
    """Read numbers or words of a column as numpy; -1, NaN or None for a missing value.

    Raises: DataError.
    """
    import pyarrow
    from pyarrow import types

    column = _one_each(column, where, TAKEN)
    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    if types.is_decimal(kind):
        column = column.cast(pyarrow.float64())
    words = (types.is_string, types.is_large_string, types.is_null, _is_binary)
    if any(is_kind(kind) for is_kind in words):
        return np.array([*column.to_pylist(), None], object)[:-1]
    if types.is_unsigned_integer(kind) and column.null_count:
        column = column.cast(pyarrow.float64())
    if types.is_boolean(kind):
        column = column.cast(pyarrow.int8())
    if types.is_integer(kind) or types.is_boolean(kind):
        return np.asarray(column.fill_null(-1).to_numpy())
    if types.is_floating(kind) or types.is_decimal(kind):
        return np.asarray(column.to_numpy(), np.float64)
    raise DataError(f"{where}: expected {TAKEN}, got {kind}; rename or drop the column")


def class_names(schema: Any, label: str) -> list[str] | None:
    """Read the names of a label's numbers from the Hugging Face metadata; None if it has none."""
    try:
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        names = _feature(features[label])["names"]
    except (KeyError, IndexError, TypeError, ValueError):
        return None
    return [str(name) for name in names] if isinstance(names, list) and names else None


def _feature(found: Any) -> Any:
    """Unwrap the metadata of a value from lists of one."""
    while isinstance(found, list) or (isinstance(found, dict) and "feature" in found):
        found = found[0] if isinstance(found, list) else found["feature"]
    return found


def _one_each(column: Any, where: str, taken: str) -> Any:
    """Unwrap a column of lists of length one. Raises: DataError if a list is longer."""
    import pyarrow
    from pyarrow import compute

    if not _is_list(column.type):
        return column
    lengths = compute.list_value_length(column)
    if len(column) and (
        lengths.null_count or compute.min_max(lengths).as_py() != {"min": 1, "max": 1}
    ):
        raise DataError(
            f"{where}: expected {taken}, got {_shown(column.type)}, several a row; keep one"
        )
    return pyarrow.chunked_array(
        [chunk.flatten() for chunk in column.chunks], column.type.value_type
    )


def _inner(kind: Any) -> Any:
    return kind.value_type if _is_list(kind) else kind


def _is_list(kind: Any) -> bool:
    from pyarrow import types

    tests: list[Callable[[Any], bool]] = [
        types.is_list,
        types.is_large_list,
        types.is_fixed_size_list,
    ]
    return any(test(kind) for test in tests)


def _is_binary(kind: Any) -> bool:
    from pyarrow import types

    return bool(
        types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind)
    )


def _shown(kind: Any) -> str:
    text = str(kind)
    return text if len(text) < 80 else f"{text[:77]}..."


def _values(chunk: Any) -> list[Any]:
    return chunk.to_numpy(zero_copy_only=False).tolist()  # type: ignore[no-any-return]
