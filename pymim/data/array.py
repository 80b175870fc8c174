"""Pictures in one .npy or .npz file."""

from __future__ import annotations

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
    mapped, not read). Labels: an array `labels` of the .npz file, or NAME_labels.npy beside NAME.npy."""

    def __init__(self, path: str | Path, channels: int = 3):
        self.file, self.channels = Path(path), channels
        self.pixels = self._open()
        self.labels = self._labels()
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

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"pixels": None}  # a worker opens the file itself

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.pixels = self._open()


def _named(path: Path, names: tuple[str, ...], needed: bool = True) -> Any:
    """The first array of those names."""
    with np.load(path, allow_pickle=False) as arrays:
        for name in names:
            if name in arrays:
                return arrays[name]
        if needed:
            found = ", ".join(arrays.files)
            raise DataError(f"Array: path: expected an array {names[0]} in {path}, got {found}; rename one")
    return None
