"""Find gin files, and the files that an `include` names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from gin import config as gin_config

import pymim
from pymim.config.messages import nearest
from pymim.errors import ConfigError


def folders() -> list[Path]:
    """List the folders of shipped gin files: the checkout's gin/ first, then the package's."""
    roots = [Path(entry) for entry in pymim.__path__]
    return [
        folder
        for root in roots
        for folder in (root.parent / "gin", root / "gin")
        if folder.is_dir()
    ]


def find(name: str) -> Path:
    """Find a gin file by path or by the name of a shipped file, with or without `.gin`.

    Raises: ConfigError with the nearest shipped name, if there is no such file.
    """
    path = Path(name)
    names = {path, path.with_name(path.name + ".gin")}
    relative = [
        Path(*p.parts[1:]) if p.parts[:1] == ("gin",) and len(p.parts) > 1 else p for p in names
    ]
    candidates = [*names, *(folder / p for folder in folders() for p in relative)]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    shipped = [
        str(file.relative_to(folder)) for folder in folders() for file in folder.rglob("*.gin")
    ]
    raise ConfigError(f"--gin {name}: no such file{nearest(path.name, shipped)}")


def read_from(beside: Path) -> None:
    """Make `include` search next to the including file, in `beside`, and among shipped files."""
    reading = [beside]  # the folders of the files now being read, innermost last

    def locate(name: str) -> Path | None:
        return located(name, reading[-1], beside)

    @contextmanager
    def read(name: str) -> Iterator[TextIO]:
        found = locate(name)
        assert found is not None
        reading.append(found.parent)
        try:
            with found.open() as file:
                yield file
        finally:
            reading.pop()

    gin_config._FILE_READERS[:] = [(read, lambda name: locate(name) is not None)]


def located(name: str, *beside: Path) -> Path | None:
    """Find the file that an `include` names: next to the including file, or among shipped ones."""
    places = [*(folder / name for folder in beside[:1]), Path(name)]
    places += [folder / name for folder in (*beside[1:], *folders())]
    return next((place for place in places if place.is_file()), None)
