"""Make labelled clips of digits that move over panning photographs, on the fly."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pymim import philox
from pymim.data.digits import Digits, cut, paste

MOTIONS = ["right", "down-right", "down", "down-left", "left", "up-left", "up", "up-right"]
_AXIS = (0, 1, 1, 1, 0, -1, -1, -1)
DIRECTIONS = torch.tensor([(_AXIS[k], _AXIS[(k + 2) % 8]) for k in range(8)])  # rows, columns
PAN = 1 / 16  # largest pan from first to last frame, as a share of the free way on each axis


class MovingDigits(Digits):
    """A digit that crosses a photograph in one of eight directions; the direction is the label.

    The photograph moves in a direction of its own, so that neither the position nor the background
    gives the label away. Clip i is a function of (seed, i).

    split: "train" or "test".
    length: number of clips; by default as many as `Digits` has pictures.
    size: pixels of a frame's side.
    digit: smallest and largest side of a digit, in pixels.
    contrast: as of `Digits`.
    seed: of digits, places and directions.
    frames: of a clip. travel: smallest and largest share of its free way that a digit moves. The
        rest is as in `Digits`; no digit is in both splits.
    """

    def __init__(
        self,
        split: str = "train",
        length: int | None = None,
        frames: int = 8,
        size: int = 32,
        digit: tuple[int, int] = (12, 18),
        travel: tuple[float, float] = (0.5, 1.0),
        contrast: float = 80.0,
        seed: int = 0,
    ):
        super().__init__(split, length, "photo", size, digit, contrast, seed)
        self.frames, self.travel = frames, travel
        self.classes = MOTIONS
        self.labels = self._motion(np.arange(self.length))

    def path(self, index: int) -> str:
        """Return a name for clip `index`."""
        return f"moving digit {index}"

    def take(self, index: NDArray[np.int64]) -> Tensor:
        """Return clips, uint8 [B 3 T size size]."""
        random = torch.from_numpy(philox.uniforms(philox.Name(self.seed, 0, index), blocks=5))
        side = self.digit[0] + random[:, 0, 1] * (self.digit[1] - self.digit[0])
        corner = self._path(
            random[:, 0, 2:], self.size - side, random[:, 4, 1], self._motion(index)
        )
        glyphs = self._strokes(index).repeat_interleave(self.frames, 0)
        cover = paste(glyphs, corner, side.repeat_interleave(self.frames), self.size)
        ground = cut(self._pan(random[:, 1], random[:, 4, 2:]), self.size)
        cover, ground = (
            planes.unflatten(0, (-1, self.frames)).transpose(1, 2)
            for planes in (cover[:, None], ground)
        )
        ink = self._ink(ground, cover, random[:, 2])
        return torch.lerp(ground, ink, cover).round_().to(torch.uint8)

    def _motion(self, index: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return each clip's direction, 0 to 7."""
        word = philox.words(philox.Name(self.seed, 0, index), blocks=1, first=4)[:, 0, 0]
        return (word >> np.uint32(29)).astype(np.int64)

    def _path(
        self, start: Tensor, free: Tensor, travel: Tensor, motion: NDArray[np.int64]
    ) -> Tensor:
        """Return a digit's corner (row, column) in each frame, [B*T 2].

        It starts where its whole way fits into the picture.
        """
        way = (self.travel[0] + travel * (self.travel[1] - self.travel[0])) * free
        step = DIRECTIONS[torch.from_numpy(motion)] * way[:, None]
        first = start * (free[:, None] - step.abs()) + (-step).clamp_min(0)
        time = torch.linspace(0, 1, self.frames)
        return (first[:, None] + step[:, None] * time[:, None]).flatten(0, 1)

    def _pan(self, place: Tensor, drift: Tensor) -> Tensor:
        """Return the places [B*T 3] that `cut` takes for each frame of a panning photograph."""
        time = torch.linspace(0, 1, self.frames)
        drift = (2 * drift - 1) * PAN
        start = place[:, 1:3] * (1 - drift.abs()) + (-drift).clamp_min(0)
        moved = (start[:, None] + drift[:, None] * time[:, None]).flatten(0, 1)
        return torch.cat(
            [place[:, :1].repeat_interleave(self.frames, 0), moved.clamp(0, 1 - 2**-20)], 1
        )
