"""Decode the frames of a video shown at given times, even if its header is wrong."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymim.errors import DataError

# The containers that FFmpeg may open. Playlists are left out: they name other files and addresses.
CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegvideo,mpegts,ogg,asf,flv"
STATED = ("mov", "avi", "asf")  # containers whose header has the length of each stream
NONE = "expected a video, got a file without pictures, or cut short"
MISSING = 1.0  # seconds that may be missing at the end of what a file says it holds
EARLIER = (0.0, 1.0, 4.0, 16.0)  # seconds before a time at which to try to start decoding


class Short(ValueError):
    """A file ends before its last frame should come."""


@dataclass(frozen=True)
class Timeline:
    """Hold the times of the first and last frame, in seconds of the stream's clock, and the rate.

    rate: frames per second. counted: the frames have no usable times, so frame n is shown at n /
        rate.
    """

    first: float
    last: float
    rate: float
    counted: bool = False


class Video:
    """Open a video file for decoding. Raises: ValueError if it holds no pictures."""

    def __init__(self, path: str, threads: int):
        self.path, self.threads = path, threads
        self._open()

    def __enter__(self) -> Video:
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()

    def timeline(self, thorough: bool = False) -> Timeline:
        """Read when frames are shown: from the header, or from every packet.

        Packets are read if `thorough`, or if the header does not say.
        """
        end = None if thorough else _stated_end(self.container, self.stream)
        if end is None:
            return self._read_through()
        own = float(self.stream.average_rate or self.stream.guessed_rate or 25)
        first = float((self.stream.start_time or 0) * self.stream.time_base)
        if self._counted():
            return Timeline(0.0, max(0.0, end - first - 1 / own), own, counted=True)
        return Timeline(first, max(first, end - 1 / own), own)

    def at(self, times: NDArray[np.float64], line: Timeline) -> Iterator[Any]:
        """Yield the frame nearest to each time; times must ascend.

        Raises: Short if the file ends before; ValueError if its frames have no times, or times go
        back.
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
        """Reopen the file at its first byte."""
        self.container.close()
        self._open()

    def _counted(self) -> bool:
        """Say whether times are wrong after a seek, so that the file is decoded from its beginning.

        MPEG program streams have few times, and AVI has none for frames that change their order.
        """
        name = self.container.format.name
        return name in ("mpeg", "mpegvideo") or (
            name == "avi" and self.stream.codec_context.has_b_frames > 0
        )

    def _from(self, begin: float, line: Timeline) -> Iterator[tuple[Any, float | None]]:
        """Yield frames and their times; the first one is not after `begin` if possible."""
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
        """Yield frames that have a time, from about `begin` on; none if the seek fails."""
        try:
            self.container.seek(int(begin / float(self.stream.time_base)), stream=self.stream)
            frames = (
                frame for frame in self.container.decode(self.stream) if frame.time is not None
            )
            return itertools.chain([next(frames)], frames)
        except (library().FFmpegError, StopIteration):
            return iter(())

    def _read_through(self) -> Timeline:
        """Read all packets without decoding them. Raises: ValueError if some are missing."""
        self._again()
        shown, stored = list[int | None](), list[int | None]()
        end = 0.0
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
        base, own = (
            float(self.stream.time_base),
            float(self.stream.average_rate or self.stream.guessed_rate or 25),
        )
        given = [time for time in stored if time is not None]
        times = [time for time in shown if time is not None]
        if len(times) < len(shown) or given != sorted(given) or self._counted():
            return Timeline(0.0, (len(shown) - 1) / own, own, counted=True)
        first, last = min(times) * base, max(times) * base
        if not self.stream.average_rate and last > first:
            own = (len(shown) - 1) / (last - first)
        return Timeline(first, last, own)


def library() -> Any:
    """Import PyAV. Raises: DataError if it is not installed."""
    try:
        import av
    except ImportError:
        raise DataError(
            "Videos: path: expected PyAV, got none; pip install 'pymim[video]'"
        ) from None
    return av


def _stated_end(container: Any, stream: Any) -> float | None:
    """Return the second at which the stream ends by the header; None if it only guesses."""
    tag = next((text for name, text in stream.metadata.items() if name.startswith("DURATION")), "")
    if tag.count(":") == 2:  # Matroska's writers leave it in each stream's tags
        parts = zip((3600, 60, 1), tag.split(":"), strict=True)  # hours, minutes, seconds
        return sum(seconds * float(part) for seconds, part in parts)
    if stream.duration and container.format.name.split(",")[0] in STATED:
        return float((stream.duration + (stream.start_time or 0)) * stream.time_base)
    return None


def _refuse_cut(container: Any, end: float) -> None:
    """Refuse a truncated file, except MPEG streams, whose length is a guess from what is there."""
    length = (container.duration or 0) / 1e6
    if not container.format.name.startswith("mpeg") and end + MISSING < length:
        raise ValueError(f"cut short: expected {length:.1f} s, got {end:.1f}")


def _spans(frames: Iterator[tuple[Any, float | None]]) -> Iterator[tuple[Any, float]]:
    """Yield each frame, and the time until which it is the nearest one.

    Raises: ValueError if times go back or are missing.
    """
    before, at = None, None
    for frame, time in frames:
        if time is None:
            continue
        if at is not None:
            if time < at:
                raise ValueError(
                    f"expected frame times that increase, got {time:.2f} s after {at:.2f} s; "
                    "encode the video again, as .mkv or .mp4"
                )
            yield before, (at + time) / 2
        before, at = frame, time
    if at is None:
        raise ValueError(
            "expected frames with times, got none; encode the video again, as .mkv or .mp4"
        )
    yield before, at + MISSING
