"""Record what a run is made of: configuration, code and data. Equal records, equal runs."""

from __future__ import annotations

import functools
import glob
import hashlib
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import pymim
from pymim import config, stages
from pymim.data.walk import walk

ROOT = "train.Trainer"
# Files of pymim that do not change a run's numbers.
_BESIDE = {"bench", "draw", "children.py", "compare.py", "explain.py", "making.py"}
_FREE = {
    *("data.Loader.workers", "data.Loader.prefetch"),
    *(f"train.Trainer.{name}" for name in ("log_every", "save_every", "keep", "tensorboard")),
}
_LARGE = 2**22  # bytes; smaller files are compared by content, so that a copy counts as equal


def made_of(words: Sequence[str], folder: Path) -> dict[str, str]:
    """Return a text for each thing that a run is made of, by name.

    words: gin files and bindings, as on a command line. folder: the run's, which holds its stages.

    Raises: ConfigError if the words are no valid configuration.
    """
    files = [word for word in words if word.endswith(".gin")]
    bindings = [word for word in words if not word.endswith(".gin")]
    staged: list[tuple[stages.Stage, list[str]]] = []
    stages.load(files, bindings, folder, False, ROOT, staged)
    home = str(folder.resolve())
    found = {name: text.replace(home, "RUN") for name, text in config.whole(ROOT).items()}
    for path in config.paths(ROOT):
        if not path.resolve().is_relative_to(home):
            found[f"files of {path}"] = _files(path)
    found |= {
        f"code of {name}": digest for name, digest in _code(tuple(config.sources(ROOT))).items()
    }
    for stage, inner in staged:
        of_stage = made_of(inner, stage.folder)
        others = {name: text for name, text in of_stage.items() if found.get(name) != text}
        found |= {f"stage {stage.folder.name}: {name}": text for name, text in others.items()}
    return found


def first_difference(then: dict[str, str], now: dict[str, str]) -> str | None:
    """Name the first difference, settings before data before code; None if none matters."""
    names = sorted(
        (name for name in {*then, *now} if name.rpartition(": ")[2] not in _FREE), key=_weight
    )
    name = next((name for name in names if then.get(name) != now.get(name)), None)
    if name is None:
        return None
    return f"{name}: {then.get(name, 'nothing')} then, {now.get(name, 'nothing')} now"


def _weight(name: str) -> tuple[int, str]:
    kind = name.rpartition(": ")[2]
    return (kind.startswith("files of ") + 2 * kind.startswith("code of "), name)


@functools.cache  # a comparison uses the data that were there when it began
def _files(path: Path) -> str:
    """Describe files by number, bytes, and a digest of names, sizes and dates, or of content."""
    if path.is_file():
        # Include the test set and labels in the same folder: their names differ in one part.
        stem = "*".join(map(glob.escape, path.stem.split("train"))).rstrip("*")
        found = sorted({path, *path.parent.glob(f"{stem}*{glob.escape(path.suffix)}")})
        digest = [(file.name, _stamp(file)) for file in found]
    else:
        names = walk(path).names
        found = [path / name for name in names]
        digest = [(name, _date(file)) for name, file in zip(names, found, strict=True)]
    size = sum(file.stat().st_size for file in found)
    return f"{len(found):,} files of {size:,} bytes, {_hash(repr(digest).encode())}"


def _stamp(file: Path) -> str:
    return _hash(file.read_bytes()) if file.stat().st_size < _LARGE else _date(file)


def _date(file: Path) -> str:
    found = file.stat()
    return f"{found.st_size} {found.st_mtime_ns}"


@functools.cache
def _code(components: tuple[Path, ...]) -> dict[str, str]:
    """Digest pymim's files that change a run, other components' modules, torch's version."""
    root = Path(pymim.__path__[0])
    ours = [file for kind in ("*.py", "*.so", "*.pyd") for file in root.rglob(kind)]
    ours = [file for file in ours if file.relative_to(root).parts[0] not in _BESIDE]
    found = {
        f"pymim/{file.relative_to(root).as_posix()}": _hash(file.read_bytes())
        for file in sorted(ours)
    }
    theirs = {
        top for file in components if not file.is_relative_to(root) for top in _packages(file)
    }
    for name, module in sorted(sys.modules.items()):
        if name.partition(".")[0] in theirs and (file := getattr(module, "__file__", None)):
            found[name] = _hash(Path(file).read_bytes())
    return {**found, "torch": version("torch")}


def _packages(file: Path) -> set[str]:
    """Return the top-level names of the modules that were imported from a file."""
    return {
        name.partition(".")[0]
        for name, module in list(sys.modules.items())
        if _is_from(module, file)
    }


def _is_from(module: object, file: Path) -> bool:
    return getattr(module, "__file__", None) == str(file)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
