"""The frames of a video file that are shown at given times, whatever its container says of its length."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymim.errors import DataError

# What FFmpeg may take a file for. It knows playlists too, which name other files and addresses.
CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegvideo,mpegts,ogg,asf,flv"
STATED = ("mov", "avi", "asf")  # containers whose header has the length of each stream
NONE = "expected a video, got a file without pictures, or cut short"
MISSING = 1.0  # seconds that may be missing at the end of what a file says it holds
EARLIER = (0.0, 1.0, 4.0, 16.0)  # seconds before a time, where to look for a frame to begin decoding at


class Short(ValueError):
    """A file ends before its last frame should come."""


@dataclass(frozen=True)
class Timeline:
    """When the first and the last frame are shown, in seconds on the stream's clock, and frames per second.

    counted: its frames have no times to go by, so that the n-th is the one of n / rate.
    """

    first: float
    last: float
    rate: float
    counted: bool = False


class Video:
    """A video file, open for decoding. Raises ValueError where it holds no pictures."""

    def __init__(self, path: str, threads: int):
        self.path, self.threads = path, threads
        self._open()

    def __enter__(self) -> Video:
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()

    def timeline(self, thorough: bool = False) -> Timeline:
        """Say when frames are shown: as the header has it; from every packet if `thorough`, or where it has not."""
        end = None if thorough else _stated_end(self.container, self.stream)
        if end is None:
            return self._read_through()
        own = float(self.stream.average_rate or self.stream.guessed_rate or 25)
        first = float((self.stream.start_time or 0) * self.stream.time_base)
        if self._counted():
            return Timeline(0.0, max(0.0, end - first - 1 / own), own, counted=True)
        return Timeline(first, max(first, end - 1 / own), own)

    def at(self, times: NDArray[np.float64], line: Timeline) -> Iterator[Any]:
        """Give the frame nearest to each time, which go up.

        Raises: Short where the file ends before; ValueError where its frames have no times, or go back.
        """
        due = list(times)
        for frame, until in _spans(self._from(float(times[0]), line)):
            while due and due[0] < until:
                due.pop(0)
                yield frame
            if not due:
                return
        raise Short(f"expected {line.last - line.first:.1f} s of video, got less")

    def _open(self) -> None:
        av = library()
        try:
            self.container = av.open(f"file:{self.path}", options={"format_whitelist": CONTAINERS})
        except av.ArgumentError:
            raise ValueError("expected a video, got a playlist or another kind of file") from None
        self.stream = self.container.streams.best("video")  # not a cover
        if self.stream is None:
            raise ValueError(NONE)
        self.stream.thread_type, self.stream.codec_context.thread_count = "AUTO", self.threads

    def _again(self) -> None:
        """Begin at the file's first byte."""
        self.container.close()
        self._open()

    def _counted(self) -> bool:
        """Whether times are wrong after a seek: MPEG program streams have few, and AVI none for frames that change
        their order. Such a file is decoded from its beginning."""
        name = self.container.format.name
        return name in ("mpeg", "mpegvideo") or (name == "avi" and self.stream.codec_context.has_b_frames > 0)

    def _from(self, begin: float, line: Timeline) -> Iterator[tuple[Any, float | None]]:
        """Frames and their times, the first of them not after `begin` where there is one."""
        if line.counted:
            self._again()
            decoded = self.container.decode(self.stream)
            yield from ((frame, number / line.rate) for number, frame in enumerate(decoded))
            return
        for earlier in EARLIER if begin > line.first else ():
            frames = self._sought(begin - earlier)
            frame = next(frames, None)
            if frame is not None and frame.time <= begin + 0.5 / line.rate:
                yield from ((frame, frame.time) for frame in itertools.chain([frame], frames))
                return
        self._again()
        yield from ((frame, frame.time) for frame in self.container.decode(self.stream))

    def _sought(self, begin: float) -> Iterator[Any]:
        """Frames that have a time, from about `begin` on; none where it cannot be sought."""
        try:
            self.container.seek(int(begin / float(self.stream.time_base)), stream=self.stream)
            frames = (frame for frame in self.container.decode(self.stream) if frame.time is not None)
            return itertools.chain([next(frames)], frames)
        except (library().FFmpegError, StopIteration):
            return iter(())

    def _read_through(self) -> Timeline:
        """Go by the packets, which are read and not decoded. Raises ValueError where some are missing."""
        self._again()
        shown, stored, end = list[int | None](), list[int | None](), 0.0
        for packet in self.container.demux():
            if packet.size and packet.dts is not None:
                end = max(end, float((packet.dts + (packet.duration or 0)) * packet.time_base))
            if packet.size and packet.stream_index == self.stream.index:
                shown.append(packet.pts)
                stored.append(packet.dts)
        if not shown:
            raise ValueError(NONE)
        _refuse_cut(self.container, end)
        return self._counted_out(shown, stored)

    def _counted_out(self, shown: list[int | None], stored: list[int | None]) -> Timeline:
        base, own = float(self.stream.time_base), float(self.stream.average_rate or self.stream.guessed_rate or 25)
        given = [time for time in stored if time is not None]
        times = [time for time in shown if time is not None]
        if len(times) < len(shown) or given != sorted(given) or self._counted():
            return Timeline(0.0, (len(shown) - 1) / own, own, counted=True)
        first, last = min(times) * base, max(times) * base
        if not self.stream.average_rate and last > first:
            own = (len(shown) - 1) / (last - first)
        return Timeline(first, last, own)


def library() -> Any:
    """Import PyAV. Raises DataError where it is not installed."""
    try:
        import av
    except ImportError:
        raise DataError("Videos: path: expected PyAV, got none; pip install 'pymim[video]'") from None
    return av


def _stated_end(container: Any, stream: Any) -> float | None:
    """Seconds at which the stream ends, by the file's header; None where that has it not, or only a guess."""
    tag = next((text for name, text in stream.metadata.items() if name.startswith("DURATION")), "")
    if tag.count(":") == 2:  # Matroska's writers leave it in each stream's tags
        hours, minutes, seconds = tag.split(":")
        return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
    if stream.duration and container.format.name.split(",")[0] in STATED:
        return float((stream.duration + (stream.start_time or 0)) * stream.time_base)
    return None


def _refuse_cut(container: Any, end: float) -> None:
    """Of MPEG streams the length is a guess from what is there."""
    length = (container.duration or 0) / 1e6
    if not container.format.name.startswith("mpeg") and end + MISSING < length:
        raise ValueError(f"cut short: expected {length:.1f} s, got {end:.1f}")


def _spans(frames: Iterator[tuple[Any, float | None]]) -> Iterator[tuple[Any, float]]:
    """Each frame, and until when it is the nearest one. Raises ValueError where times go back, or are missing."""
    before, at = None, None
    for frame, time in frames:
        if time is None:
            continue
        if at is not None:
            if time < at:
                raise ValueError(
                    f"its times go back, from {at:.2f} to {time:.2f} s; write it anew, as .mkv or .mp4"
                )
            yield before, (at + time) / 2
        before, at = frame, time
    if at is None:
        raise ValueError("expected frames with times, got none; write it anew, as .mkv or .mp4")
    yield before, at + MISSING
