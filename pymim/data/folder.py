"""Read a folder of pictures, flat or nested, with or without classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pymim.data.about import About, left_out
from pymim.data.decode import SUFFIXES, decode
from pymim.data.labels import by_folder, unpacked
from pymim.data.source import Sample, Unreadable, reason
from pymim.data.walk import Files, walk
from pymim.errors import DataError


class PictureFolder:
    """Every picture below `path`, in the order of their names.

    If most pictures are in two or more sub-folders, these are the classes, and pictures at the top
    have none.

    path: a folder, or files of one that were found already.
    channels: of every picture given; a picture that cannot have them is Unreadable.
    classes: names of the training set's classes, which number the classes of a test set.
    """

    def __init__(
        self, path: str | Path | Files, channels: int = 3, classes: Sequence[str] | None = None
    ):
        found = files_of(path, SUFFIXES, "PictureFolder", "pictures")
        self.root, self.files = found.root, found.names
        self.channels = channels
        numbered = by_folder(self.files, classes)
        self.classes, self.labels = unpacked(numbered)
        self.about = About(found, () if numbered else (unclassed(found),))

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Sample:
        try:
            image = decode(self.root / self.files[index], self.channels)
        except Exception as error:  # decoders raise errors of any class
            raise Unreadable(index, reason(error)) from error
        return Sample(image, -1 if self.labels is None else int(self.labels[index]))

    def path(self, index: int) -> str:
        """Return the path of picture `index`."""
        return str(self.root / self.files[index])


def files_of(path: str | Path | Files, suffixes: tuple[str, ...], kind: str, items: str) -> Files:
    """List the files below a folder with these suffixes. Raises: DataError if there are none."""
    if not isinstance(path, Files):
        path = walk(Path(path)).ending(suffixes, f"no {items}")
    if not path.names:
        left = f" ({left_out(path)})" if path.left else ""
        raise DataError(
            f"{kind}: path: expected {items} in {path.root}, got none{left}; add files of the "
            f"types {' '.join(suffixes)}, or name another folder"
        )
    return path


def unclassed(files: Files) -> str:
    """Say why the folders of these files are not classes."""
    tops = files.tops()
    if not tops:
        return "no classes, as there are no folders"
    if len(tops) == 1:
        return (
            f"no classes, as all folders are in one, {tops[0]}: name that one to use the folders "
            "in it as classes"
        )
    return f"no classes, as most files are not in one of the {len(tops)} folders"
