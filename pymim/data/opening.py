"""What one binding, DATA, can point at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pymim.data import decode, videos
from pymim.data.array import Array
from pymim.data.digits import BACKGROUNDS, Digits
from pymim.data.folder import Folder, listed
from pymim.data.memory import remembered
from pymim.data.moving import MovingDigits
from pymim.data.parquet import Parquet
from pymim.data.source import Source, hold_out
from pymim.data.videos import Clip, Videos
from pymim.errors import DataError

Data = str | Path | Callable[..., Source]
TEST = ("test", "val", "validation")
EMBEDDED = {"digits": BACKGROUNDS[0]} | {f"digits-{name}": name for name in BACKGROUNDS}
MOVING = "digits-moving"
NAMES = (*EMBEDDED, MOVING)


def open(
    data: Data, split: str = "train", channels: int = 3, clip: Clip | None = None, memory: int = 2**30
) -> Source | None:
    """The training or test pictures of `data`; None for a test set that is not there.

    data: a folder of pictures, or of videos, flat, nested or with a folder for each class; a .parquet file in the
        Hugging Face layout, or a folder of them; an .npy or .npz file; "digits", "digits-plain", "digits-photo" or
        "digits-moving", which are made on the fly; or a constructor that takes `split`.
    split: "train" or "test". The test set is found in sub-folders train/ and test/ (val/, validation/) or in a
        file beside, ..._train.parquet and ..._test.parquet; else every fifth picture of each class is held out.
    channels: what every picture is made to have. clip: what is cut out of a video.
    memory: bytes that small pictures of one size may take, decoded.
    """
    if split not in ("train", "test"):
        raise ValueError(f"data.open: split: expected train or test, got {split!r}; name one of them")
    if callable(data):
        return data(split=split)
    if str(data) in EMBEDDED:
        return Digits(split, background=EMBEDDED[str(data)])
    if str(data) == MOVING:
        return MovingDigits(split, frames=clip.frames) if clip else MovingDigits(split)
    path = Path(data).expanduser()
    if not path.exists():
        raise DataError(
            f"data.open: data: expected a file, a folder or one of {', '.join(NAMES)}, got {data}; see its spelling"
        )
    test = _test_beside(path)
    if split == "test" and test is not None:
        return remembered(_read(test, channels, clip), memory)
    source = remembered(_read(path / "train" if (path / "train").is_dir() else path, channels, clip), memory)
    if test is not None:
        return source
    return hold_out(source, split)


def training_set(source: Source | Data, channels: int = 3, clip: Clip | None = None) -> Source:
    """A Source as it is, or the training pictures of what `open` takes."""
    if not (callable(source) or isinstance(source, str | Path)):
        return source
    opened = open(source, channels=channels, clip=clip)
    assert opened is not None, "there is always a training set"
    return opened


def _read(path: Path, channels: int, clip: Clip | None) -> Source:
    if path.is_dir():
        shards = sorted(path.glob("*.parquet"))
        if shards:
            return Parquet(shards, channels)
        first = next(listed(path, (*decode.SUFFIXES, *videos.SUFFIXES)), "")
        return Videos(path, channels, clip) if first.lower().endswith(videos.SUFFIXES) else Folder(path, channels)
    kinds: dict[str, Callable[..., Source]] = {".parquet": Parquet, ".npy": Array, ".npz": Array}
    if path.suffix not in kinds:
        raise DataError(f"data.open: data: expected a file {', '.join(kinds)}, got {path}; or name its folder")
    return kinds[path.suffix](path, channels)


def _test_beside(path: Path) -> Path | None:
    """Where the test pictures are."""
    beside = [path / name for name in TEST]
    if path.is_file() and "train" in path.name:
        beside = [path.with_name(path.name.replace("train", name)) for name in TEST]
    return next((candidate for candidate in beside if candidate.exists()), None)
