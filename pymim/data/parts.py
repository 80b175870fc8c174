"""What lies at a path, by its splits: which files of which kind are for training, and which for testing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from pymim.data import decode, videos
from pymim.data.array import Array, file_of, labels_of
from pymim.data.folder import Folder
from pymim.data.labels import by_folder
from pymim.data.parquet import Parquet
from pymim.data.saved import loaded
from pymim.data.shards import class_names_of, holds_pictures
from pymim.data.source import Source
from pymim.data.splits import HELD_OUT, TRAIN, beside, by_folders, by_shards
from pymim.data.videos import Clip, Videos
from pymim.data.walk import Files, walk
from pymim.errors import DataError

SHARDS, ARRAYS, LABELS = ".parquet", (".npy", ".npz"), "_labels.npy"


@dataclass(frozen=True)
class Part:
    """Files of one split and of one `kind`: parquet, array, videos or pictures."""

    kind: str
    files: Files

    def open(self, channels: int, clip: Clip | None, classes: Sequence[str] | None = None) -> Source:
        """Read them. classes: of the training set, by whose names those of a test set are numbered."""
        source = self._open(channels, clip, classes)
        own = (source.classes or [])[len(classes) :] if classes else []
        if own:
            count = f"{len(own)} classes" if len(own) > 1 else "class"
            note = f"{count} of no training picture: {', '.join(own[:4])}"
            source.about = replace(source.about, notes=(*source.about.notes, note))
        return source

    def _open(
        self, channels: int, clip: Clip | None, classes: Sequence[str] | None
    ) -> Parquet | Array | Videos | Folder:
        if self.kind == "parquet":
            return Parquet(self.files, channels, classes=classes)
        if self.kind == "array":
            return Array(self.files, channels, classes)
        if self.kind == "videos":
            return Videos(self.files, channels, clip, classes=classes)
        return Folder(self.files, channels, classes)

    def without(self, reason: str, names: Sequence[str]) -> Part:
        """Say that others are left out."""
        return Part(self.kind, self.files.without(reason, names))

    def classes(self) -> list[str] | None:
        """Names of the classes, without reading a picture."""
        if self.kind == "parquet":
            return class_names_of(self.files)
        numbered = labels_of(file_of(self.files)) if self.kind == "array" else by_folder(self.files.names)
        return None if numbered is None else numbered.names


Parts = dict[str, Part]


def parts(path: Path) -> Parts:
    """Find what is for training, and what for "test" and "validation" where they are there. Raises DataError."""
    if path.is_dir():
        return _of_folder(walk(path))
    if not path.is_file():
        raise DataError(
            f"data.open: data: expected a file or a folder, got {path}, which is neither; see what it is"
        )
    kind = _kind(path.name)
    if kind is None:
        known = ", ".join((SHARDS, *ARRAYS))
        raise DataError(f"data.open: data: expected a file {known}, got {path}; or name its folder")
    others = (entry.name for entry in path.parent.iterdir() if _kind(entry.name) == kind and entry.is_file())
    groups = {TRAIN: [path.name]} | beside(path.name, others)
    return {split: Part(kind, Files(path.parent, names)) for split, names in groups.items()}


def _kind(name: str) -> str | None:
    suffix = PurePath(name).suffix.lower()
    return {SHARDS: "parquet", **dict.fromkeys(ARRAYS, "array")}.get(suffix)


def held_out(found: Parts) -> str | None:
    """Choose the split to evaluate on: "test", or "validation" where that alone is there or has labels."""
    there = [split for split in HELD_OUT if split in found]
    labelled = (split for split in there if len(there) == 1 or found[split].classes())
    return next(labelled, there[0] if there else None)


def _of_folder(files: Files) -> Parts:
    shards = [name for name in files.names if name.lower().endswith(SHARDS)]
    at_top = [name for name in shards if "/" not in name]
    pictures, clips = (_ending(files, kind.SUFFIXES) for kind in (decode, videos))
    if at_top or (shards and (not pictures + clips or holds_pictures(files.root / shards[0]))):
        return _by_names(files, at_top or shards, "parquet")
    if arrays := [] if clips else _arrays(files, pictures):
        return _by_names(files, arrays, "array")
    if _are_videos(pictures, clips):
        kept = files.ending(videos.SUFFIXES, "that are no videos")
        return {split: Part("videos", found) for split, found in by_folders(kept).items()}
    kept = files.ending(decode.SUFFIXES, "that are no pictures")
    return {split: Part("pictures", found) for split, found in by_folders(kept).items()}


def _by_names(files: Files, names: Sequence[str], kind: str) -> Parts:
    groups = by_shards(names)
    used = {name for group in groups.values() for name in group}
    kept = files.keep(used, "of another kind or place, or of no split")
    return {
        split: Part(kind, (kept if split == TRAIN else Files(files.root, kept.names)).keep(set(group)))
        for split, group in groups.items()
    }


def _ending(files: Files, suffixes: tuple[str, ...]) -> list[str]:
    return [name for name in files.names if name.lower().endswith(suffixes)]


def _arrays(files: Files, pictures: Sequence[str]) -> list[str]:
    """The files that hold many pictures each: .npz, or .npy of four axes, or one of three for each split."""
    if not pictures:
        return _ending(files, (".npz",))
    names = [name for name in pictures if not name.lower().endswith(LABELS)]
    if len(_ending(files, (".npy",))) < len(pictures) or not names:
        return []
    try:
        axes = loaded(files.root / names[0], mapped=True).ndim
    except DataError:  # a picture that is broken
        return []
    return names if axes == 4 or (axes == 3 and len(names) == len(by_shards(names)) > 1) else []


def _are_videos(pictures: Sequence[str], clips: Sequence[str]) -> bool:
    """Whether a folder is one of videos: where they are as many as the pictures that do not go with one of them."""
    stems = {clip.rpartition(".")[0] for clip in clips}
    alone = sum(not any(start in stems for start in _starts(name.rpartition(".")[0])) for name in pictures)
    return bool(clips) and len(clips) >= alone


def _starts(stem: str) -> list[str]:
    """A picture's name, and what of it a video's name may be: a_thumb.jpg and a-01.jpg go with a.mp4."""
    return [stem, *(stem[: end.start()] for end in re.finditer(r"[^0-9A-Za-z/]", stem))]
