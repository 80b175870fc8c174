"""Open the splits of a labelled data set, for an evaluation."""

from __future__ import annotations

from pymim.data import opening
from pymim.data.source import Source
from pymim.data.videos import Clip


class Opener:
    """Open the splits of `source`, as `data.open` does with these `channels` and this `clip`.

    A split is opened at each use, so that its pictures take no memory while the run trains.
    """

    def __init__(self, source: opening.Data, channels: int = 3, clip: Clip | None = None) -> None:
        self.source = source
        self.channels, self.clip = channels, clip
        self._shown: list[Source | None] = []

    def show(self) -> Source | None:
        """Open the test set to describe it; the next `open` of the test set returns the same."""
        self._shown = [self.open("test")]
        return self._shown[0]

    def open(self, split: str) -> Source | None:
        """Open the split "train" or "test"; None if there is none. Raises: DataError."""
        if split == "test" and self._shown:
            return self._shown.pop()
        return opening.open(self.source, split, self.channels, self.clip)
