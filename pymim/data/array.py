"""Pictures in one .npy or .npz file."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pymim.data.decode import to_bits, to_channels
from pymim.data.source import Sample
from pymim.errors import DataError

IMAGES, LABELS = ("images", "x", "data", "arr_0"), ("labels", "label", "y")


class Array:
    """An array [N H W], [N H W C] or [N C H W] of any number type, of one size and so in memory (an .npy file is
    mapped, not read). Labels: an array `labels` of the .npz file, or NAME_labels.npy beside NAME.npy. Every other
    array of numbers in the .npz file that has N rows is a note, by its name."""

    def __init__(self, path: str | Path, channels: int = 3):
        self.file, self.channels = Path(path), channels
        self.pixels = self._open()
        self.labels = self._labels()
        self.rows = self._rows() if self.file.suffix == ".npz" else {}
        self.classes: list[str] | None = None
        if self.labels is not None:
            self.classes = [str(label) for label in range(int(self.labels.max()) + 1)]
        if self.pixels.ndim not in (3, 4) or not len(self.pixels):
            shape = list(self.pixels.shape)
            raise DataError(f"Array: path: expected [N H W C] or [N C H W] in {path}, got {shape}; reshape it")
        try:
            to_channels(self.pixels[0], channels)
        except ValueError as error:
            raise DataError(f"Array: path: {path}: {error}") from None

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> Sample:
        image = to_channels(self.pixels[index], self.channels)
        return Sample(image, -1 if self.labels is None else int(self.labels[index]))

    def take(self, index: NDArray[np.int64]) -> Tensor:
        """Pictures [B C H W], uint8 or float32."""
        return torch.stack([to_channels(image, self.channels) for image in to_bits(self.pixels[index])])

    def path(self, index: int) -> str:
        return f"{self.file}[{index}]"

    def notes(self, index: NDArray[np.int64]) -> dict[str, Tensor]:
        """What came with these pictures, by the names in the file."""
        return {name: torch.from_numpy(rows[index]) for name, rows in self.rows.items()}

    def _open(self) -> NDArray[Any]:
        if self.file.suffix == ".npy":
            return np.load(self.file, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
        return _named(self.file, IMAGES)  # type: ignore[no-any-return]

    def _labels(self) -> NDArray[np.int64] | None:
        beside = self.file.with_name(f"{self.file.stem}_labels.npy")
        if self.file.suffix == ".npz":
            found = _named(self.file, LABELS, needed=False)
        else:
            found = np.load(beside, allow_pickle=False) if beside.exists() else None
        return None if found is None else found.astype(np.int64).reshape(len(self.pixels))

    def _rows(self) -> dict[str, NDArray[Any]]:
        """The arrays that are neither pictures nor labels, and have a row for each picture."""
        with np.load(self.file, allow_pickle=False) as arrays:
            named = {_first(arrays, IMAGES), _first(arrays, LABELS)}
            others = {name: arrays[name] for name in arrays.files if name not in named}
        kept = {name: rows for name, rows in others.items() if rows.ndim and len(rows) == len(self.pixels)}
        return {name: rows for name, rows in kept.items() if rows.dtype.kind in "biuf"}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"pixels": None}  # a worker opens the file itself

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.pixels = self._open()


def _named(path: Path, names: tuple[str, ...], needed: bool = True) -> Any:
    """The first array of those names."""
    with np.load(path, allow_pickle=False) as arrays:
        name = _first(arrays, names)
        if name is None and needed:
            found = ", ".join(arrays.files)
            raise DataError(f"Array: path: expected an array {names[0]} in {path}, got {found}; rename one")
        return None if name is None else arrays[name]


def _first(arrays: Container[str], names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in arrays), None)
