"""Where gin files are, and how an `include` finds them."""

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
    """Where shipped gin files are: the checkout's gin/ first, then the one in the installed package."""
    roots = [Path(entry) for entry in pymim.__path__]
    return [folder for root in roots for folder in (root.parent / "gin", root / "gin") if folder.is_dir()]


def find(name: str) -> Path:
    """The gin file called `name`: as a path, or as a shipped file with or without its folder and ending."""
    path = Path(name)
    names = {path, path.with_name(path.name + ".gin")}
    relative = [Path(*p.parts[1:]) if p.parts[:1] == ("gin",) and len(p.parts) > 1 else p for p in names]
    candidates = [*names, *(folder / p for folder in folders() for p in relative)]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    shipped = [str(file.relative_to(folder)) for folder in folders() for file in folder.rglob("*.gin")]
    raise ConfigError(f"--gin {name}: no such file{nearest(path.name, shipped)}")


def read_from(beside: Path) -> None:
    """Lets `include` find files beside the including file, in `beside` and among the shipped ones."""
    reading = [beside]  # folders of the files that are being read, the innermost last

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
    """Find what an `include` names: beside the files that are read, or among the shipped ones."""
    places = [*(folder / name for folder in beside[:1]), Path(name)]
    places += [folder / name for folder in (*beside[1:], *folders())]
    return next((place for place in places if place.is_file()), None)
