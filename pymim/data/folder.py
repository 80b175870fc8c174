"""A folder of pictures: flat or nested, with classes or without."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pymim.data.decode import SUFFIXES, decode
from pymim.data.source import Sample, Unreadable
from pymim.errors import DataError


class Folder:
    """Every picture below `path`, in the order of their names. Where all lie in two sub-folders or more, these are
    the classes.

    channels: what each is converted to; a picture that cannot be is Unreadable.
    """

    def __init__(self, path: str | Path, channels: int = 3):
        self.root, self.channels = Path(path), channels
        self.files = sorted(listed(self.root, SUFFIXES))
        if not self.files:
            known = " ".join(SUFFIXES)
            raise DataError(f"Folder: path: expected pictures in {self.root}, got none; it looks for {known}")
        self.classes, self.labels = by_folder(self.files)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Sample:
        try:
            image = decode(self.root / self.files[index], self.channels)
        except Exception as error:  # decoders raise whatever they like
            raise Unreadable(index, str(error)) from error
        return Sample(image, -1 if self.labels is None else int(self.labels[index]))

    def path(self, index: int) -> str:
        return str(self.root / self.files[index])


def listed(root: Path, suffixes: tuple[str, ...]) -> Iterator[str]:
    """Relative names of the files that end so, however deep; hidden files and folders are passed over."""
    for folder, inner, names in os.walk(root, followlinks=True):
        inner[:] = [name for name in inner if not name.startswith(".")]
        kept = (name for name in names if name.lower().endswith(suffixes) and not name.startswith("."))
        yield from (os.path.relpath(Path(folder, name), root) for name in kept)


def by_folder(files: list[str]) -> tuple[list[str] | None, NDArray[np.int64] | None]:
    """The names of the classes and each file's, where all files lie in two sub-folders or more."""
    tops = [Path(name).parts[0] if len(Path(name).parts) > 1 else "" for name in files]
    classes = sorted(set(tops))
    if len(classes) < 2 or classes[0] == "":
        return None, None
    number = {name: label for label, name in enumerate(classes)}
    return classes, np.array([number[top] for top in tops], np.int64)
