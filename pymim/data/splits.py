"""Divide files into training and test sets by their names and their folders' names.

The words are those of the Hugging Face hub
(https://huggingface.co/docs/hub/datasets-file-names-and-splits), in any case, separated from the
rest of a name by `-`, `_`, `.`, spaces, digits or folders. A word names a split only next to
another one: a folder `train` next to `plane` and `car` is a class.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import NamedTuple

from pymim.data.walk import Files
from pymim.errors import DataError

TRAIN = "train"
HELD_OUT = ("test", "validation")  # the first one with labels is evaluated on
SPLITS = {
    **dict.fromkeys(("training", "train"), TRAIN),
    **dict.fromkeys(("testing", "test", "evaluation", "eval"), "test"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
}
ANY = re.compile("|".join(SPLITS), re.IGNORECASE)
WORD = re.compile(rf"(?<![^\W\d_])(?:{ANY.pattern})(?![^\W\d_])", re.IGNORECASE)
SHARD = re.compile(r"(.+)-\d{5}-of-\d{5}(-[0-9a-f]+)?$")

Groups = dict[str, list[str]]


class Said(NamedTuple):
    """Hold the split that a name gives, and the text before and after that word."""

    split: str
    before: str
    after: str


def said(name: str, pattern: re.Pattern[str] = WORD) -> Said | None:
    """Read the split from a file's or folder's name: its last word that names a split."""
    found = list(pattern.finditer(name))
    if not found:
        return None
    word = found[-1]
    return Said(SPLITS[word[0].lower()], name[: word.start()], name[word.end() :])


def by_shards(names: Sequence[str]) -> Groups:
    """Group files such as train-00000-of-00002.parquet, x_test.parquet or train/0.parquet by split.

    Without a training split next to another one, all files are for training. Files that name no
    split next to files that do are in no group.

    Raises: DataError if there are several configurations, or nothing to train on.
    """
    groups: Groups = {}
    configurations: set[str] = set()
    for name in names:
        split, configuration = _of_path(name)
        if split is not None:
            groups.setdefault(split, []).append(name)
            configurations |= (
                {configuration} - {""} if split not in (TRAIN, *HELD_OUT) else {configuration}
            )
    if len(groups) > 1 and TRAIN not in groups and all(split in groups for split in HELD_OUT):
        raise DataError(
            f"data.open: data: expected a training file beside {', '.join(names[:4])}, got none; "
            "name one file"
        )
    if TRAIN not in groups or len(groups) < 2:
        return {TRAIN: list(names)}
    if len(configurations) > 1:
        raise DataError(
            f"data.open: data: expected files of one configuration, got {len(configurations)}: "
            f"{', '.join(name or './' for name in sorted(configurations))}; name one file or one "
            "folder"
        )
    return groups


def _of_path(name: str) -> tuple[str | None, str]:
    """Read a file's split and configuration: its folders, and its name before the split's word."""
    path = PurePosixPath(name)
    folders = [part for part in path.parent.parts if said(part) is None]
    if found := said(path.stem):
        return found.split, "/".join([*folders, found.before])
    for part in reversed(path.parent.parts):
        if found := said(part):
            return found.split, "/".join([*folders, ""])
    if shard := SHARD.match(path.stem):
        return shard[1], ""
    return None, ""


def beside(name: str, others: Iterable[str]) -> Groups:
    """Group the files that belong to the training file `name` by split: x_test.npz to x_train.npz.

    Here a word may be part of a longer one, since the rest of the two names is the same.
    """
    mine = _loosely_said(name)
    if mine is None or mine.split != TRAIN:
        return {}
    groups: Groups = {}
    for other in sorted(others):
        theirs = _loosely_said(other)
        if theirs and theirs.split != TRAIN and _rest(theirs) == _rest(mine):
            groups.setdefault(theirs.split, []).append(other)
    return groups


def _loosely_said(name: str) -> Said | None:
    return said(name) or said(name, ANY)


def _rest(name: Said) -> str:
    """Return a name without its split and its shard number, in lower case."""
    return f"{name.before}*{re.sub(r'-[0-9]+-of-[0-9]+(-[0-9a-f]+)?', '', name.after)}".lower()


def by_folders(files: Files) -> dict[str, Files]:
    """Divide pictures by their folders: train/ and test/, TRAIN/ and VAL/, train2017/ and val2017/.

    Two folders are splits if their names differ only in that word. A folder of training pictures
    may stand alone, and so may a folder that holds the splits. Otherwise the files' own names are
    read, if all of them name a split; else all is for training.

    Raises: DataError if a split has several folders, or holds the same classes as its neighbours.
    """
    tops = files.tops()
    if groups := _folder_groups(tops):
        return _below(files, {split: _only(split, names, files) for split, names in groups.items()})
    if len(tops) == 1:
        if _is_split(tops[0], TRAIN):
            return _below(files, {TRAIN: tops[0]})
        inner = replace(files.below(tops[0]), left=files.left)
        if len(inner.names) == len(files.names) and len(divided := by_folders(inner)) > 1:
            return divided
    _refuse_mixed(files, tops)
    return _by_names(files)


def _below(files: Files, folders: Mapping[str, str]) -> dict[str, Files]:
    """Return the files of each split, by its folder; the training set reports what is left out."""
    owner = {folder: split for split, folder in folders.items()}

    def of(split: str, names: Iterable[str]) -> list[str]:
        return [name for name in names if owner.get(name.split("/", 1)[0], TRAIN) == split]

    divided: dict[str, Files] = {}
    for split, folder in folders.items():
        inner = files.below(folder)
        for reason, names in files.left.items():
            inner = inner.without(reason, of(split, names))
        rest = [name for name in of(split, files.names) if not name.startswith(f"{folder}/")]
        divided[split] = inner.without("beside the splits", rest)
    return divided


def _folder_groups(names: Sequence[str]) -> Groups:
    """Group folders by split, if a training folder and another differ only in that word."""
    kinds: dict[str, Groups] = {}
    for name in names:
        if found := _loosely_said(name):
            rest = re.sub(r"\d+", "", f"{found.before}*{found.after}").lower()
            kinds.setdefault(rest, {}).setdefault(found.split, []).append(name)
    groups: Groups = {}
    for kind in kinds.values():
        for split, found_names in kind.items() if TRAIN in kind and len(kind) > 1 else ():
            groups.setdefault(split, []).extend(found_names)
    return groups


def _only(split: str, names: Sequence[str], files: Files) -> str:
    if len(names) != 1:
        raise DataError(
            f"data.open: data: expected one folder of the {split} split in {files.root}, got "
            f"{', '.join(names)}; put them into one, or name one of them"
        )
    return names[0]


def _is_split(folder: str, *splits: str) -> bool:
    """Say whether a folder's name is only a split's word, with or without a number."""
    return SPLITS.get(folder.rstrip("0123456789").lower()) in splits


def _refuse_mixed(files: Files, tops: Sequence[str]) -> None:
    """Refuse classes next to a split that holds the same classes: it would become a class.

    Raises: DataError.
    """
    for top in tops:
        again = (
            set(files.below(top).tops()) & set(tops) if _is_split(top, TRAIN, *HELD_OUT) else set()
        )
        if len(again) > 1:
            raise DataError(
                f"data.open: data: expected {top} beside a folder of another split in "
                f"{files.root}, got it beside {', '.join(sorted(again)[:4])}, which are folders "
                "in it too; move those beside it into a folder train"
            )


def _by_names(files: Files) -> dict[str, Files]:
    groups: Groups = {}
    for name in files.names:
        found = _of_picture(name)
        if found is None:
            return {TRAIN: files}
        groups.setdefault(found, []).append(name)
    if TRAIN not in groups or len(groups) < 2:
        return {TRAIN: files}
    return {split: files.keep(set(names)) for split, names in groups.items()}


def _of_picture(name: str) -> str | None:
    """Read the split from a picture's name, or from a folder below the first."""
    path = PurePosixPath(name)
    if found := said(path.stem):
        return found.split
    words = (part.lower() for part in path.parent.parts[1:])
    return next((SPLITS[word] for word in words if word in SPLITS), None)
