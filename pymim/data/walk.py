"""List the files below a folder, each real folder once, and say what was left out."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pymim.errors import DataError

SEEN = "links to folders that are read already"
UNREADABLE = "unreadable"
IRREGULAR = "neither file nor folder"

Left = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Files:
    """Hold files below `root` by relative names; `left` maps reasons to the files left out."""

    root: Path
    names: list[str]
    left: Left = field(default_factory=dict)

    def tops(self) -> list[str]:
        """List the folders directly below the root that hold files, in order."""
        return sorted({name.split("/", 1)[0] for name in self.names if "/" in name})

    def below(self, folder: str) -> Files:
        """Return the files of a sub-folder."""
        start = f"{folder}/"
        return Files(
            self.root / folder,
            [name[len(start) :] for name in self.names if name.startswith(start)],
        )

    def keep(self, names: Collection[str], reason: str = "") -> Files:
        """Keep only these files; the others are left out for `reason`, if one is given."""
        kept = replace(self, names=[name for name in self.names if name in names])
        return kept.without(
            reason, [name for name in self.names if name not in names] if reason else []
        )

    def without(self, reason: str, names: Iterable[str]) -> Files:
        """Return the same files, and report others as left out for `reason`."""
        more = self.left.get(reason, ()) + tuple(names)
        return replace(self, left={**self.left, reason: more} if more else self.left)

    def ending(self, suffixes: tuple[str, ...], reason: str) -> Files:
        """Keep the files with these suffixes, in any case; the others are left out for `reason`."""
        return self.keep({name for name in self.names if name.lower().endswith(suffixes)}, reason)


def walk(root: Path) -> Files:
    """List every regular file below `root` at any depth; hidden ones are skipped.

    Links to folders are followed after all real folders. A link to a folder above the root, or to
    one that was read, is left out: its files would count twice, or without end.

    Raises: DataError if the root cannot be read.
    """
    return _Walk(root).files()


class _Walk:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.names: list[str] = []
        self.left: dict[str, list[str]] = {}
        self.seen = {_identity(str(folder)) for folder in Path(os.path.realpath(root)).parents}
        self.folders, self.links = deque([""]), deque[str]()

    def files(self) -> Files:
        while self.folders or self.links:
            folder = (self.folders or self.links).popleft()
            try:
                self._read(folder)
            except OSError as error:
                if not folder:
                    raise DataError(
                        f"data.open: data: expected a folder that can be read, got {self.root}: "
                        f"{error.strerror}; check its permissions"
                    ) from None
                self._leave(UNREADABLE, f"{folder}: {error.strerror}")
        left = {reason: tuple(sorted(names)) for reason, names in self.left.items()}
        return Files(self.root, sorted(self.names), left)

    def _read(self, folder: str) -> None:
        # Not a Path: to make one for each of a million files takes long.
        path = os.path.join(self.root, folder)  # noqa: PTH118
        identity = _identity(path)
        if identity in self.seen:
            self._leave(SEEN, folder)
            return
        with os.scandir(path) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        self.seen.add(identity)
        for entry in entries:
            if not entry.name.startswith("."):
                self._sort(entry, f"{folder}/{entry.name}" if folder else entry.name)

    def _sort(self, entry: os.DirEntry[str], name: str) -> None:
        try:
            if entry.is_dir():
                (self.links if entry.is_symlink() else self.folders).append(name)
            elif entry.is_file():
                self.names.append(name)
            else:
                self._leave(IRREGULAR, name)
        except OSError as error:
            self._leave(UNREADABLE, f"{name}: {error.strerror}")

    def _leave(self, reason: str, name: str) -> None:
        self.left.setdefault(reason, []).append(name)


def _identity(folder: str) -> tuple[int, int] | str:
    """Return a value that is equal for one real folder under all its names."""
    status = os.stat(folder)  # noqa: PTH116
    return (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(folder)
