"""Make labelled pictures of digits on backgrounds, on the fly and without any file.

The 1,797 handwritten digits of 8 x 8 pixels (Alpaydin & Kaynak 1998) and the two photographs used
as backgrounds are shipped with scikit-learn.
"""

from __future__ import annotations

import gzip
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pymim import philox
from pymim.data.source import Sample

BACKGROUNDS = ("black", "plain", "photo")
HELD_OUT = 6  # one digit of every six is held out for the test set


class Digits:
    """Digits of random position, size and colour. Picture i is a function of (seed, i).

    No digit is in both splits.

    split: "train" or "test".
    seed: of place, size and colour.
    length: number of pictures; by default 50,000 for "train" and 10,000 for "test".
    background: "black", "plain" (a random colour) or "photo" (a random piece of a photograph).
    size, digit: pixels of a picture's side; smallest and largest side of a digit.
    contrast: smallest difference between the grey values of a digit and its background, of 255.
    """

    def __init__(
        self,
        split: str = "train",
        length: int | None = None,
        background: str = "black",
        size: int = 32,
        digit: tuple[int, int] = (14, 26),
        contrast: float = 80.0,
        seed: int = 0,
    ):
        if background not in BACKGROUNDS:
            choices = ", ".join(BACKGROUNDS)
            raise ValueError(
                f"Digits: background: expected one of {choices}, got {background!r}; choose one of "
                "them"
            )
        self.classes: list[str] | None = [str(digit) for digit in range(10)]
        self.background, self.size = background, size
        self.digit, self.contrast = digit, contrast
        self.seed = philox.key(seed, f"digits {split}")
        glyphs, labels = _glyphs()
        held = np.arange(len(glyphs)) % HELD_OUT == HELD_OUT - 1
        self.ids = np.flatnonzero(held == (split == "test"))
        self.length = length or (10_000 if split == "test" else 50_000)
        self.labels: NDArray[np.int64] | None = labels[self._glyph(np.arange(self.length))]

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        assert self.labels is not None
        return Sample(self.take(np.array([index]))[0], int(self.labels[index]))

    def path(self, index: int) -> str:
        """Return a name for picture `index`."""
        return f"digit {index}"

    def take(self, index: NDArray[np.int64]) -> Tensor:
        """Return pictures, uint8 [B 3 size size]."""
        random = torch.from_numpy(philox.uniforms(philox.Name(self.seed, 0, index), blocks=4))
        side = self.digit[0] + random[:, 0, 1] * (self.digit[1] - self.digit[0])
        corner = random[:, 0, 2:] * (self.size - side)[:, None]
        cover = paste(self._strokes(index), corner, side, self.size)[:, None]
        ground = self._ground(random[:, 1], random[:, 3, :3])
        ink = self._ink(ground, cover, random[:, 2])
        return torch.lerp(ground, ink, cover).round_().to(torch.uint8)

    def _glyph(self, index: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of the handwritten digit that each picture shows."""
        word = philox.words(philox.Name(self.seed, 0, index), blocks=1)[:, 0, 0].astype(np.uint64)
        return self.ids[(word * np.uint64(len(self.ids)) >> np.uint64(32)).astype(np.int64)]

    def _strokes(self, index: NDArray[np.int64]) -> Tensor:
        """Return the opacity, float32 [B 8 8], of each picture's digit."""
        return _glyphs()[0][self._glyph(index)]

    def _ground(self, place: Tensor, colour: Tensor) -> Tensor:
        """Return backgrounds, float32 [B 3 size size], from 0 to 255."""
        if self.background == "photo":
            return cut(place, self.size)
        level = colour * 255 if self.background == "plain" else torch.zeros_like(colour)
        return level[:, :, None, None].expand(-1, 3, self.size, self.size)

    def _ink(self, ground: Tensor, cover: Tensor, colour: Tensor) -> Tensor:
        """Return a colour [B 3 1 ...] whose grey value differs from the background's by `contrast`.

        The background's grey value is its mean under the digit.
        """
        inside = tuple(range(2, ground.ndim))
        ink = colour[:, :3].view(-1, 3, *(1 for _ in inside)) * 255
        here = (ground * cover).sum(inside, keepdim=True) / cover.sum(inside, keepdim=True)
        gap = (ink - here).mean(1, keepdim=True)
        brighter = (here.mean(1, keepdim=True) < 127.5).float() * 2 - 1
        lacking = (self.contrast - gap * brighter).clamp_min(0) * brighter
        return (ink + lacking).clamp_(0, 255)


def paste(glyphs: Tensor, corner: Tensor, side: Tensor, size: int) -> Tensor:
    """Scale each glyph [B 8 8] bilinearly to `side` [B] pixels and place it in an empty square.

    corner: row and column [B 2] of its upper left corner. Returns opacity float32 [B size size].
        For a clip, give one glyph for each frame.
    """
    rows, columns = (_placing(corner[:, axis], side, glyphs.shape[1], size) for axis in (0, 1))
    return rows @ glyphs @ columns.mT


def _placing(start: Tensor, side: Tensor, cells: int, size: int) -> Tensor:
    """Return weights [B size cells]: how much each pixel row shows of each row of the glyph."""
    pixel = torch.arange(size) + 0.5
    position = (pixel - start[:, None]) / side[:, None] * cells - 0.5
    return (1 - (position[:, :, None] - torch.arange(cells)).abs()).clamp_min_(0)


def cut(place: Tensor, size: int) -> Tensor:
    """Cut squares out of the photographs: float32 [B 3 size size], from 0 to 255.

    place: three numbers on [0, 1) each: photograph, row, column. For a clip, give the place of each
        frame.
    """
    photos = _photos()
    number = (place[:, 0] * len(photos)).long()
    top = (place[:, 1] * (photos.shape[1] - size)).long()
    left = (place[:, 2] * (photos.shape[2] - size)).long()
    rows, columns = (first[:, None] + torch.arange(size) for first in (top, left))
    pieces = photos[number[:, None, None], rows[:, :, None], columns[:, None, :]]
    return pieces.permute(0, 3, 1, 2).float()


@cache
def _glyphs() -> tuple[Tensor, NDArray[np.int64]]:
    """Read opacity float32 [1797 8 8] and labels."""
    with gzip.open(_shipped("data/digits.csv.gz"), "rt") as rows:
        table = np.loadtxt(rows, delimiter=",", dtype=np.float32)
    return torch.from_numpy(table[:, :-1] / 16).unflatten(1, (8, 8)), table[:, -1].astype(np.int64)


@cache
def _photos() -> Tensor:
    """Read the photographs, uint8 [2 H W 3], at half size so that a piece shows something."""
    from PIL import Image

    photos = [
        Image.open(_shipped(f"images/{name}.jpg"), formats=["JPEG"]).reduce(2)
        for name in ("china", "flower")
    ]
    return torch.stack([torch.from_numpy(np.array(photo)) for photo in photos])


def _shipped(name: str) -> Path:
    """Find a file of scikit-learn's datasets without importing scikit-learn.

    Its own readers import SciPy, which takes longer than everything else here.
    """
    found = find_spec("sklearn")
    assert found is not None and found.origin is not None, "scikit-learn is installed with pymim"
    return Path(found.origin).parent / "datasets" / name
