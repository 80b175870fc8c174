"""Read pictures from one .npy or .npz file."""

from __future__ import annotations

from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pymim.data.about import About
from pymim.data.channels import to_bits, to_channels, whole
from pymim.data.labels import Labels, labels, unpacked
from pymim.data.saved import archive, is_archive, loaded, member
from pymim.data.source import Sample, Unreadable
from pymim.data.walk import Files
from pymim.errors import DataError

IMAGES, LABELS = ("images", "x", "data", "arr_0"), ("labels", "label", "y")


class Array:
    """Pictures [N H W], [N H W C] or [N C H W] of any number type, in one array.

    An .npy file is mapped into memory, not read. Labels are the array `labels` of the .npz file, or
    NAME_labels.npy next to NAME.npy. Every other array of numbers in the .npz file with N rows is a
    note, under its name.

    path: the .npy or .npz file.
    channels: of every picture given. classes: names of the training set's classes, which number the
        classes of a test set.

    Raises: DataError if the file holds no pictures, or they cannot have these channels.
    """

    def __init__(
        self, path: str | Path | Files, channels: int = 3, classes: Sequence[str] | None = None
    ):
        self.file, self.channels = file_of(path), channels
        self.pixels = _pictures(self.file)
        numbered = labels_of(self.file, len(self.pixels))
        if numbered and classes is not None:
            numbered = numbered.like(classes, str(self.file))
        self.classes, self.labels = unpacked(numbered)
        self.rows = self._rows() if is_archive(self.file) else {}
        self.about = About(
            path if isinstance(path, Files) else Files(self.file.parent, [self.file.name])
        )
        try:
            to_channels(self.pixels[0], channels)
        except ValueError as error:
            raise DataError(f"Array: path: {self.file}: {error}") from None

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> Sample:
        image = self._picture(self.pixels[index], index)
        return Sample(image, -1 if self.labels is None else int(self.labels[index]))

    def take(self, index: NDArray[np.int64]) -> Tensor:
        """Return pictures [B C H W], uint8 or float32."""
        pictures = zip(to_bits(self.pixels[index]), index.tolist(), strict=True)
        return torch.stack([self._picture(pixels, number) for pixels, number in pictures])

    def _picture(self, pixels: NDArray[Any], index: int) -> Tensor:
        try:
            return whole(to_channels(pixels, self.channels))
        except ValueError as error:
            raise Unreadable(index, str(error)) from error

    def path(self, index: int) -> str:
        """Return the file and the index in it."""
        return f"{self.file}[{index}]"

    def notes(self, index: NDArray[np.int64]) -> dict[str, Tensor]:
        """Return the notes of these pictures, [B ...] by the names in the file."""
        return {name: torch.from_numpy(rows[index]) for name, rows in self.rows.items()}

    def _rows(self) -> dict[str, NDArray[Any]]:
        """Read arrays that are neither pictures nor labels and have one row for each picture."""
        with archive(self.file) as arrays:
            named = {_first(arrays, IMAGES), _first(arrays, LABELS)}
            others = {
                name: member(self.file, arrays, name) for name in arrays.files if name not in named
            }
        kept = {
            name: rows
            for name, rows in others.items()
            if rows.ndim and len(rows) == len(self.pixels)
        }
        return {name: rows for name, rows in kept.items() if rows.dtype.kind in "biuf"}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"pixels": None}  # a worker opens the file itself

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.pixels = _pictures(self.file)


def file_of(path: str | Path | Files) -> Path:
    """Return the one file of `path`. Raises: DataError if there are several."""
    if not isinstance(path, Files):
        return Path(path)
    if len(path.names) != 1:
        raise DataError(
            f"Array: path: expected one file for each split in {path.root}, got "
            f"{', '.join(path.names)}; name one of them"
        )
    return path.root / path.names[0]


def labels_of(file: Path, rows: int | None = None) -> Labels | None:
    """Read the labels that belong to a file with `rows` pictures; None if there are none.

    Raises: DataError if they are not one label for each picture.
    """
    where, found = file, None
    if is_archive(file):
        with archive(file) as arrays:
            name = _first(arrays, LABELS)
            found = None if name is None else member(file, arrays, name)
        where = file / str(name)
    elif (beside := file.with_name(f"{file.stem}_labels.npy")).exists():
        where, found = beside, loaded(beside)
    if found is None:
        return None
    values = found.reshape(-1) if found.shape[1:] == (1,) else found
    if rows is not None and values.shape[:1] != (rows,):
        raise DataError(
            f"Array: {where}: expected {rows} labels, one for each picture, got "
            f"{list(found.shape)}; correct the file"
        )
    return labels(values, f"Array: {where}")


def _pictures(file: Path) -> NDArray[Any]:
    """Map or read the pictures. Raises: DataError if the file holds none."""
    if is_archive(file):
        with archive(file) as arrays:
            name = _first(arrays, IMAGES)
            if name is None:
                found = ", ".join(arrays.files) or "none"
                raise DataError(
                    f"Array: path: expected an array {IMAGES[0]} in {file}, got {found}; rename "
                    "the array of pictures"
                )
            pixels = member(file, arrays, name)
    else:
        pixels = loaded(file, mapped=True)
    if pixels.ndim not in (3, 4) or not pixels.size:
        shape = list(pixels.shape)
        raise DataError(
            f"Array: path: expected [N H W C] or [N C H W] in {file}, got {shape}; reshape it"
        )
    if pixels.dtype.kind not in "biuf":
        raise DataError(
            f"Array: path: expected numbers in {file}, got {pixels.dtype}; save them as uint8 or "
            "float32"
        )
    return pixels


def _first(arrays: Container[str], names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in arrays), None)
