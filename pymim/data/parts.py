"""Sort the files at a path into splits, each with the kind of its files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from pymim.data import decode, videos
from pymim.data.array import Array, file_of, labels_of
from pymim.data.folder import PictureFolder
from pymim.data.labels import by_folder
from pymim.data.parquet import Parquet
from pymim.data.saved import loaded
from pymim.data.shards import class_names_of, holds_pictures
from pymim.data.source import Source
from pymim.data.splits import HELD_OUT, TRAIN, beside, by_folders, by_shards
from pymim.data.videos import Clip, Videos
from pymim.data.walk import Files, walk
from pymim.errors import DataError

SHARDS, ARRAYS = ".parquet", (".npy", ".npz")
LABELS = "_labels.npy"


@dataclass(frozen=True)
class Part:
    """Hold the files of one split and their `kind`: parquet, array, videos or pictures."""

    kind: str
    files: Files

    def open(
        self, channels: int, clip: Clip | None, classes: Sequence[str] | None = None
    ) -> Source:
        """Open the files as a source.

        classes: of the training set, which number the classes of a test set.
        """
        source = self._open(channels, clip, classes)
        own = (source.classes or [])[len(classes) :] if classes else []
        if own:
            count = f"{len(own)} classes" if len(own) > 1 else "class"
            note = f"{count} without a training picture: {', '.join(own[:4])}"
            source.about = replace(source.about, notes=(*source.about.notes, note))
        return source

    def _open(
        self, channels: int, clip: Clip | None, classes: Sequence[str] | None
    ) -> Parquet | Array | Videos | PictureFolder:
        if self.kind == "parquet":
            return Parquet(self.files, channels, classes=classes)
        if self.kind == "array":
            return Array(self.files, channels, classes)
        if self.kind == "videos":
            return Videos(self.files, channels, clip, classes=classes)
        return PictureFolder(self.files, channels, classes)

    def without(self, reason: str, names: Sequence[str]) -> Part:
        """Report files as left out, for this reason."""
        return Part(self.kind, self.files.without(reason, names))

    def classes(self) -> list[str] | None:
        """Return the names of the classes without reading a picture."""
        if self.kind == "parquet":
            return class_names_of(self.files)
        numbered = (
            labels_of(file_of(self.files)) if self.kind == "array" else by_folder(self.files.names)
        )
        return None if numbered is None else numbered.names


Parts = dict[str, Part]


def parts(path: Path) -> Parts:
    """Find the parts of each split: "train", and "test" and "validation" if they exist.

    Raises: DataError.
    """
    if path.is_dir():
        return _of_folder(walk(path))
    if not path.is_file():
        raise DataError(
            f"data.open: data: expected a file or a folder, got {path}, which is neither; name "
            "another path"
        )
    kind = _kind(path.name)
    if kind is None:
        known = ", ".join((SHARDS, *ARRAYS))
        raise DataError(f"data.open: data: expected a file {known}, got {path}; or name its folder")
    others = (
        entry.name
        for entry in path.parent.iterdir()
        if _kind(entry.name) == kind and entry.is_file()
    )
    groups = {TRAIN: [path.name]} | beside(path.name, others)
    return {split: Part(kind, Files(path.parent, names)) for split, names in groups.items()}


def _kind(name: str) -> str | None:
    suffix = PurePath(name).suffix.lower()
    return {SHARDS: "parquet", **dict.fromkeys(ARRAYS, "array")}.get(suffix)


def held_out(found: Parts) -> str | None:
    """Choose the split to evaluate on: "test", or "validation" if only it has labels."""
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
        split: Part(
            kind, (kept if split == TRAIN else Files(files.root, kept.names)).keep(set(group))
        )
        for split, group in groups.items()
    }


def _ending(files: Files, suffixes: tuple[str, ...]) -> list[str]:
    return [name for name in files.names if name.lower().endswith(suffixes)]


def _arrays(files: Files, pictures: Sequence[str]) -> list[str]:
    """List files that hold many pictures each: .npz, .npy with 4 axes, or 3 with one per split."""
    if not pictures:
        return _ending(files, (".npz",))
    names = [name for name in pictures if not name.lower().endswith(LABELS)]
    if len(_ending(files, (".npy",))) < len(pictures) or not names:
        return []
    try:
        axes = loaded(files.root / names[0], mapped=True).ndim
    except DataError:  # a broken picture
        return []
    return names if axes == 4 or (axes == 3 and len(names) == len(by_shards(names)) > 1) else []


def _are_videos(pictures: Sequence[str], clips: Sequence[str]) -> bool:
    """Say whether a folder is one of videos, not counting pictures that belong to a video."""
    stems = {clip.rpartition(".")[0] for clip in clips}
    alone = sum(
        not any(start in stems for start in _starts(name.rpartition(".")[0])) for name in pictures
    )
    return bool(clips) and len(clips) >= alone


def _starts(stem: str) -> list[str]:
    """List the video names that a picture may belong to: a_thumb.jpg and a-01.jpg go with a.mp4."""
    return [stem, *(stem[: end.start()] for end in re.finditer(r"[^0-9A-Za-z/]", stem))]
