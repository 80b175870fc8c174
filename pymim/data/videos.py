"""Read clips from a folder of videos, decoding only what a clip needs, by seeking."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pymim.checks import given, positive, whole
from pymim.data.about import About
from pymim.data.folder import files_of, unclassed
from pymim.data.frames import Short, Timeline, Video, library
from pymim.data.labels import by_folder, unpacked
from pymim.data.source import Sample, Unreadable
from pymim.data.turning import Turn, by_matrix
from pymim.data.walk import Files
from pymim.errors import DataError

if TYPE_CHECKING:
    from jaxtyping import Float64, UInt8

SUFFIXES = (
    ".mp4",
    ".mkv",
    ".webm",
    ".avi",
    ".mov",
    ".m4v",
    ".mpg",
    ".mpeg",
    ".ogv",
    ".ts",
    ".wmv",
    ".flv",
)
FORMATS = {1: "gray", 3: "rgb24"}
# Times are shifted earlier by this part of a frame. So two frames are never equally near, where
# rounding or the milliseconds of a container would choose. Steps of a clip are even if they are
# whole frames, and else as even as possible.
EARLIER = 0.05


@dataclass(frozen=True)
class Clip:
    """Choose what to cut out of a video.

    frames: of a clip. stride: take every `stride`-th frame of the video. fps: or so many frames per
        second. short: pixels of the shorter side at most; larger videos are shrunk while decoding.
    """

    frames: int = 16
    stride: int = 4
    fps: float | None = None
    short: int = 256

    def __post_init__(self) -> None:
        whole(self, 1, frames=self.frames, stride=self.stride, short=self.short)
        positive(self, **given(fps=self.fps))


class Videos:
    """Every video below `path`, in the order of their names; classes as in `PictureFolder`.

    source[i] is the clip in the middle of video i; `source.clip(i, start)` begins elsewhere,
    always at a frame. A video shorter than a clip repeats its last frame. Frames are turned as the
    file says.

    path: a folder, or files of one that were found already.
    channels: what each frame is converted to: 1 or 3.
    clip: what is cut out of a video; None: `data.Clip()`.
    classes: names of the training set's classes, which number the classes of a test set.
    threads: of a decoder; each of a loader's workers has one decoder.

    Raises: DataError if there are no videos, or channels is not 1 or 3.
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
            raise DataError(
                f"Videos: channels: expected 1 or 3, got {channels}; set it to 1 for grey, 3 for "
                "colour"
            )
        self.format = FORMATS[channels]
        self.lines: dict[int, Timeline] = {}  # of the videos that were read
        found = files_of(path, SUFFIXES, "Videos", "videos")
        self.root, self.files = found.root, found.names
        numbered = by_folder(self.files, classes)
        self.classes, self.labels = unpacked(numbered)
        self.about = About(found, () if numbered else (unclassed(found),))

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Sample:
        return Sample(self.clip(index, 0.5), -1 if self.labels is None else int(self.labels[index]))

    def path(self, index: int) -> str:
        """Return the path of video `index`."""
        return str(self.root / self.files[index])

    def clip(self, index: int, start: float) -> Tensor:
        """Decode a clip, uint8 [C T H W]; start on [0, 1) chooses its start among those that fit.

        Raises: Unreadable.
        """
        path = Path(self.path(index))
        av = library()
        try:
            if not path.is_file():
                raise ValueError("expected a file, got a folder, a pipe or a device")
            pictures = self._pictures(index, start)
        except av.FFmpegError as error:
            raise Unreadable(index, error.strerror or type(error).__name__) from error
        except (OSError, ValueError, OverflowError) as error:
            raise Unreadable(index, str(error)) from error
        clip = torch.from_numpy(np.stack(pictures))
        return clip[None] if clip.ndim == 3 else clip.permute(3, 0, 1, 2)

    def _pictures(self, index: int, start: float) -> list[UInt8[np.ndarray, "H W *C"]]:
        """Decode the frames nearest to the clip's times; if the header is wrong, by the packets."""
        with Video(self.path(index), self.threads) as video:
            line = self.lines.get(index) or video.timeline()
            try:
                pictures = self._shown(video, line, start)
            except Short:
                line = video.timeline(thorough=True)
                pictures = self._shown(video, line, start)
        self.lines[index] = line
        return pictures

    def _shown(
        self, video: Video, line: Timeline, start: float
    ) -> list[UInt8[np.ndarray, "H W *C"]]:
        shown: list[NDArray[np.uint8]] = []
        before = None
        for frame in video.at(self._times(line, start), line):
            shown.append(shown[-1] if frame is before else self._pixels(frame))
            before = frame
        return shown

    def _times(self, line: Timeline, start: float) -> Float64[np.ndarray, " T"]:
        """Return when each frame of the clip is shown, in seconds of the stream's clock."""
        step = self.form.stride * line.rate / self.form.fps if self.form.fps else self.form.stride
        last = round((line.last - line.first) * line.rate)
        spare = max(0, math.floor(last - step * (self.form.frames - 1) + EARLIER))
        begin = math.floor(start * (spare + 1))
        numbers = np.minimum(begin + step * np.arange(self.form.frames), last)
        times: NDArray[np.float64] = line.first + (numbers - EARLIER) / line.rate
        return times

    def _pixels(self, frame: Any) -> NDArray[np.uint8]:
        scale = min(1.0, self.form.short / min(frame.width, frame.height))
        width, height = round(frame.width * scale), round(frame.height * scale)
        pixels = frame.to_ndarray(
            width=width, height=height, format=self.format, interpolation="AREA"
        )
        turned: NDArray[np.uint8] = _turn(frame)(pixels)
        return turned


def _turn(frame: Any) -> Turn:
    """Return how a frame is turned. Raises: ValueError if that is not by quarters."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    return by_matrix(None if matrix is None else bytes(matrix))
