"""A folder of videos, of each of which a clip is decoded: only what it needs, by seeking."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pymim.data.about import About
from pymim.data.folder import files_of, unclassed
from pymim.data.labels import by_folder, unpacked
from pymim.data.source import Sample, Unreadable
from pymim.data.walk import Files
from pymim.errors import DataError

if TYPE_CHECKING:
    from jaxtyping import Float64, UInt8

SUFFIXES = (".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v", ".mpg", ".mpeg", ".ogv", ".ts", ".wmv", ".flv")
FORMATS = {1: "gray", 3: "rgb24"}
MISSING = 1.0  # seconds that may be missing at the end of what a file says it holds


@dataclass(frozen=True)
class Clip:
    """What is cut out of a video: `frames`, every `stride`-th of the video's own or, where `fps` is given, of that
    many a second. Large videos are shrunk while they are decoded: the shorter side has at most `short` pixels."""

    frames: int = 16
    stride: int = 4
    fps: float | None = None
    short: int = 256


class Videos:
    """Every video below `path`, in the order of their names; classes as in `Folder`.

    source[i] is the clip in the middle of video i; `source.clip(i, moment)` begins elsewhere. A video that is
    shorter than a clip repeats its last frame. threads: of a decoder; each of a loader's workers has one decoder.
    """

    def __init__(
        self,
        path: str | Path | Files,
        channels: int = 3,
        clip: Clip | None = None,
        threads: int = 1,
        classes: Sequence[str] | None = None,
    ):
        self.form, self.threads = clip or Clip(), threads
        if channels not in FORMATS:
            raise DataError(f"Videos: channels: expected 1 or 3, got {channels}; videos have grey or colour")
        self.format = FORMATS[channels]
        found = files_of(path, SUFFIXES, "Videos", "videos")
        self.root, self.files = found.root, found.names
        numbered = by_folder(self.files, classes)
        self.classes, self.labels = unpacked(numbered)
        self.about = About(found, () if numbered else (unclassed(self.files),))

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Sample:
        return Sample(self.clip(index, 0.5), -1 if self.labels is None else int(self.labels[index]))

    def path(self, index: int) -> str:
        return str(self.root / self.files[index])

    def clip(self, index: int, moment: float) -> Tensor:
        """uint8 [C T H W]: `moment` in [0, 1) is where in the video it begins, of all places where it fits."""
        av = _library()
        try:
            with av.open(self.path(index)) as container:
                stream = container.streams.video[0]
                stream.thread_type, stream.codec_context.thread_count = "AUTO", self.threads
                pictures = self._pictures(container, stream, moment)
        except (av.FFmpegError, OSError, IndexError, ValueError) as error:
            raise Unreadable(index, str(error) or type(error).__name__) from error
        clip = torch.from_numpy(np.stack(pictures))
        return clip[None] if clip.ndim == 3 else clip.permute(3, 0, 1, 2)

    def _pictures(self, container: Any, stream: Any, moment: float) -> list[UInt8[np.ndarray, "H W *C"]]:
        """The frames nearest to the clip's times."""
        times, last = self._times(container, stream, moment)
        container.seek(int(times[0] / float(stream.time_base)), stream=stream)
        shown: list[NDArray[np.uint8]] = []
        for frame, until in _spans(container.decode(stream)):
            due = int(np.searchsorted(times, until)) - len(shown)
            shown += [self._pixels(frame)] * due if due > 0 else []
            if len(shown) == len(times):
                return shown
        raise ValueError(f"expected {last:.1f} s of video, got less")

    def _times(self, container: Any, stream: Any, moment: float) -> tuple[Float64[np.ndarray, " T"], float]:
        """When each frame of the clip is shown, in seconds on the stream's clock, and when the stream ends."""
        own = float(stream.average_rate or stream.guessed_rate or 25)
        step = self.form.stride / (self.form.fps or own)
        first = float((stream.start_time or 0) * stream.time_base)
        length = float(stream.duration * stream.time_base if stream.duration else (container.duration or 0) / 1e6)
        last = first + max(0.0, length - 1 / own)
        begin = first + moment * max(0.0, last - first - step * (self.form.frames - 1))
        return np.minimum(begin + step * np.arange(self.form.frames), last), last

    def _pixels(self, frame: Any) -> NDArray[np.uint8]:
        scale = min(1.0, self.form.short / min(frame.width, frame.height))
        width, height = round(frame.width * scale), round(frame.height * scale)
        return frame.to_ndarray(width=width, height=height, format=self.format, interpolation="AREA")  # type: ignore[no-any-return]


def _spans(frames: Iterator[Any]) -> Iterator[tuple[Any, float]]:
    """Each frame, and until when it is the nearest one."""
    before = None
    for frame in frames:
        if frame.time is not None:
            if before is not None:
                yield before, (before.time + frame.time) / 2
            before = frame
    if before is not None:
        yield before, before.time + MISSING


def _library() -> Any:
    try:
        import av
    except ImportError:
        raise DataError("Videos: path: expected PyAV, got none; pip install 'pymim[video]'") from None
    return av
