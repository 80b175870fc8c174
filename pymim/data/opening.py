"""Open a dataset from the DATA binding."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from pymim.data import parts
from pymim.data.digits import BACKGROUNDS, Digits
from pymim.data.labels import whole_numbers
from pymim.data.memory import remembered
from pymim.data.moving import MovingDigits
from pymim.data.source import Source, hold_out
from pymim.data.splits import TRAIN
from pymim.data.videos import Clip
from pymim.errors import DataError

Data = str | Path | Callable[..., Source]
EMBEDDED = {"digits": BACKGROUNDS[0]} | {f"digits-{name}": name for name in BACKGROUNDS}
MOVING = "digits-moving"
NAMES = (*EMBEDDED, MOVING)


def open(
    data: Data,
    split: str = "train",
    channels: int = 3,
    clip: Clip | None = None,
    memory: int = 2**30,
) -> Source | None:
    """Open the training or test pictures of `data`; None if there is no test set.

    data: a folder of pictures, or of videos, flat, nested or with a folder for each class; a
        .parquet file in the Hugging Face layout, or a folder of them; an .npy or .npz file;
        "digits", "digits-plain", "digits-photo" or "digits-moving", made on the fly; or a
        constructor that takes `split`.
    split: "train" or "test". The test set is found in sub-folders train/ and test/ (val/,
        validation/) or in a second file, ..._train.parquet and ..._test.parquet; else every fifth
        picture of each class is held out.
    channels: of every picture given. clip: what to cut out of a video.
    memory: bytes that small pictures of one size may take, decoded.

    Raises: DataError if the data cannot be read; ValueError for another split.
    """
    if split not in ("train", "test"):
        raise ValueError(
            f"data.open: split: expected train or test, got {split!r}; choose one of them"
        )
    if callable(data):
        made = data(split=split)
        return None if made is None else _labelled(made)
    if str(data) in EMBEDDED:
        return Digits(split, background=EMBEDDED[str(data)])
    if str(data) == MOVING:
        return MovingDigits(split, frames=clip.frames) if clip else MovingDigits(split)
    found = parts.parts(_there(data))
    held = parts.held_out(found)
    if split == "train":
        source = remembered(_training(found, held).open(channels, clip), memory)
        return source if held else hold_out(source, split)
    if held:
        return remembered(found[held].open(channels, clip, found[TRAIN].classes()), memory)
    return hold_out(remembered(found[TRAIN].open(channels, clip), memory), split)


def training_set(source: Source | Data, channels: int = 3, clip: Clip | None = None) -> Source:
    """Return a Source as it is, or open the training pictures of what `open` takes."""
    if not (callable(source) or isinstance(source, str | Path)):
        return _labelled(source)
    opened = open(source, channels=channels, clip=clip)
    assert opened is not None, "there is always a training set"
    return opened


def _labelled(source: Source) -> Source:
    """Convert the labels of a user's source to int64. Raises: DataError if they are not whole."""
    if source.labels is not None and np.asarray(source.labels).dtype != np.int64:
        source.labels = whole_numbers(np.asarray(source.labels), f"{type(source).__name__}.labels")
    return source


def _there(data: str | Path) -> Path:
    """Return the path. Raises: DataError if it does not exist."""
    path = Path(data).expanduser()
    try:
        path.stat()
    except (OSError, ValueError) as error:
        why = (
            "check the spelling"
            if isinstance(error, FileNotFoundError)
            else str(getattr(error, "strerror", error))
        )
        raise DataError(
            f"data.open: data: expected a file, a folder or one of {', '.join(NAMES)}, got {data}; "
            f"{why}"
        ) from None
    return path


def _training(found: parts.Parts, held: str | None) -> parts.Part:
    """Return the training part; splits that are not evaluated on are reported as left out."""
    part = found[TRAIN]
    for split, other in found.items():
        if split not in (TRAIN, held):
            part = part.without(f"of the split {split}", other.files.names)
    return part
