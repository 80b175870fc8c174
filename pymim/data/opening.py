"""What one binding, DATA, can point at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pymim.data.digits import BACKGROUNDS, Digits
from pymim.data.source import Source
from pymim.errors import DataError

Data = str | Path | Callable[..., Source]


def open(data: Data, split: str = "train") -> Source | None:
    """The training or test pictures of `data`; None for a test set that is not there.

    "digits", "digits-plain", "digits-photo": the embedded ones; a constructor that takes `split`, for others.
    """
    if callable(data):
        return data(split=split)
    if str(data).partition("-")[0] == "digits":
        background = str(data).partition("-")[2] or BACKGROUNDS[0]
        return Digits(split, background=background)
    raise DataError(f"data.open: {data}: expected a folder, a .parquet, .npy or .npz file, or digits; see --help")
