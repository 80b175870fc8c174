"""Read labels from numbers or words as class numbers and class names, for all sources."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymim.errors import DataError

NONE = -1
LARGEST = 100_000  # numbers from here on, and above the number of rows, are names of classes
TAKEN = "whole numbers or words, one a row"


class Labels(NamedTuple):
    """Hold class numbers int64 [N], -1 for none, and the names of the classes."""

    numbers: NDArray[np.int64]
    names: list[str]

    def like(self, names: Sequence[str], where: str) -> Labels:
        """Renumber the classes by the `names` of a training set; other classes come after them.

        Raises: DataError if none of the classes here is among them.
        """
        present = [self.names[number] for number in np.unique(self.numbers[self.numbers >= 0])]
        others = [name for name in present if name not in set(names)]
        if present and len(others) == len(present):
            raise DataError(
                f"data.open: {where}: expected classes of the training set ({some(names)}), got "
                f"only others ({some(present)}); give the classes of both sets the same names"
            )
        numbered = {name: number for number, name in enumerate([*names, *others])}
        table = np.array([numbered.get(name, NONE) for name in self.names] + [NONE], np.int64)
        return Labels(table[self.numbers], [*names, *others])


def whole_numbers(values: NDArray[Any], where: str) -> NDArray[np.int64]:
    """Convert labels [N] of any number type to int64; NaN or a negative number is no label.

    Raises: DataError.
    """
    if values.ndim != 1 or values.dtype.kind not in "biuf":
        got = f"{values.dtype} {list(values.shape)}"
        raise DataError(
            f"{where}: expected whole numbers, one a row, got {got}; make them int64 [N]"
        )
    return _whole(values, where) if values.dtype.kind == "f" else values.astype(np.int64)


def unpacked(found: Labels | None) -> tuple[list[str] | None, NDArray[np.int64] | None]:
    """Return the class names and the numbers; None twice if there are no labels."""
    return (None, None) if found is None else (found.names, found.numbers)


def labels(values: NDArray[Any], where: str, names: Sequence[str] | None = None) -> Labels | None:
    """Read labels [N]: whole numbers of any type, or words, which name the classes in order.

    A negative number, NaN, None or an empty word is no label. Returns None if there is no label at
    all.

    where: the file and the place in it, for messages. names: of the numbers 0, 1, ...

    Raises: DataError.
    """
    if values.ndim != 1:
        raise DataError(
            f"{where}: expected {TAKEN}, got an array {list(values.shape)}; make it [N]"
        )
    if values.dtype.kind in "OUS":
        return _words(values, where, names)
    if values.dtype.kind not in "biuf":
        raise DataError(f"{where}: expected {TAKEN}, got {values.dtype}; rename or drop it")
    if values.dtype.kind == "f":
        values = _whole(values, where)
    return _numbers(values, where, names)


def by_folder(files: Sequence[str], names: Sequence[str] | None = None) -> Labels | None:
    """Number files by their first folder, if two or more folders hold most of the files.

    Files at the top have no class. names: the training set's classes, which number those of a test
    set.
    """
    tops = [name.split("/", 1)[0] if "/" in name else "" for name in files]
    found = set(tops) - {""}
    if 2 * sum(bool(top) for top in tops) < len(tops) or (
        len(found) < 2 and not found & set(names or ())
    ):
        return None
    own = labels(np.array(tops, object), "folders")
    return (
        own if own is None or names is None else own.like(names, f"folders {some(sorted(found))}")
    )


def _numbers(values: NDArray[Any], where: str, names: Sequence[str] | None) -> Labels | None:
    known = values[values >= 0] if values.dtype.kind != "b" else values
    if not len(known):
        return None
    largest = int(known.max())
    if names is not None and largest >= len(names):
        raise DataError(
            f"{where}: expected labels below {len(names)}, the number of names in the metadata, "
            f"got {largest}; correct the metadata"
        )
    if names is None and largest >= max(LARGEST, len(values)):
        ids, numbers = np.unique(known, return_inverse=True)
        all_numbers = np.full(len(values), NONE, np.int64)
        all_numbers[values >= 0] = numbers
        return Labels(all_numbers, [str(one) for one in ids])
    numbers = (
        np.where(values >= 0, values, NONE).astype(np.int64) if values.dtype.kind == "i" else values
    )
    named = [str(number) for number in range(largest + 1)] if names is None else [*names]
    return Labels(numbers.astype(np.int64), named)


def _whole(values: NDArray[Any], where: str) -> NDArray[np.int64]:
    """Convert floating-point numbers to integers; NaN becomes no label."""
    values = values.astype(np.float64)
    odd = values[~np.isnan(values) & ((values != np.floor(values)) | (np.abs(values) >= 2**62))]
    if len(odd):
        raise DataError(
            f"{where}: expected {TAKEN}, got numbers such as {odd[0]:.6g}; rename or drop it"
        )
    return np.where(np.isnan(values), NONE, values).astype(np.int64)


def _words(values: NDArray[Any], where: str, names: Sequence[str] | None) -> Labels | None:
    words = [_word(value, where) for value in values.tolist()]
    found = sorted({word for word in words if word})
    if not found:
        return None
    known = [*names] if names is not None and set(found) <= set(names) else found
    number = {word: i for i, word in enumerate(known)}
    return Labels(np.array([number.get(word, NONE) for word in words], np.int64), known)


def _word(value: Any, where: str) -> str:
    if value is None or value != value:  # NaN
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").strip("\0")
    if isinstance(value, str | int | np.integer):
        return str(value)
    raise DataError(f"{where}: expected {TAKEN}, got {type(value).__name__}; rename or drop it")


def some(names: Sequence[str], most: int = 4) -> str:
    """List the first few names for a message."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
