"""From a file's bytes to channels, rows and columns, whatever the file's own layout."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

PILLOW = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff")
SUFFIXES = (*PILLOW, ".npy")
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
GREY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R 601


def decode(file: bytes | Path, channels: int) -> Tensor:
    """A picture [C H W]: uint8, or float32 where the file has more than 8 bits (16-bit integers on [0, 1]).

    Raises ValueError or OSError where it cannot be read, or its channels cannot be made into `channels`.
    """
    if isinstance(file, Path) and file.suffix.lower() == ".npy":
        return to_channels(np.load(file, allow_pickle=False), channels)
    try:
        with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file) as image:
            if image.mode[0] in "IF":
                return to_channels(np.asarray(image), channels)
            return to_channels(np.asarray(image.convert(MODES.get(channels, image.mode))), channels)
    except OSError:
        if isinstance(file, Path) and file.suffix.lower() in (".tif", ".tiff"):
            return to_channels(_tiff(file), channels)
        raise


def to_channels(array: NDArray[np.generic], channels: int) -> Tensor:
    """An array [H W], [H W C] or [C H W] of any number type as [channels H W]: grey is repeated, an alpha
    channel is dropped, colour is made grey; anything else is refused."""
    planes = array[None] if array.ndim == 2 else array
    if planes.ndim != 3:
        raise ValueError(f"expected an array [H W], [H W C] or [C H W], got {list(array.shape)}")
    if array.ndim == 3 and planes.shape[0] != channels and planes.shape[2] in (channels, min(planes.shape)):
        planes = planes.transpose(2, 0, 1)
    planes = to_bits(planes)
    if len(planes) != channels:
        planes = _matched(planes, channels)
    return torch.from_numpy(np.array(planes, order="C"))  # a copy: it may lie in a file


def to_bits(array: NDArray[np.generic]) -> NDArray[np.uint8] | NDArray[np.float32]:
    """uint8 as it is, booleans as 0 and 255, 16-bit integers (which Pillow may keep in 32 bits) as float32 on
    [0, 1], other numbers as float32."""
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype == np.uint8:
        return array  # type: ignore[return-value]
    scale = np.float32(1 / 65535 if array.dtype in (np.uint16, np.int32) else 1)
    return array.astype(np.float32) * scale


def _matched(planes: NDArray[Any], channels: int) -> NDArray[Any]:
    if len(planes) in (1, 2) and channels in (1, 3):
        return np.repeat(planes[:1], channels, axis=0)
    if len(planes) == 4 and channels == 3:
        return planes[:3]
    if len(planes) in (3, 4) and channels == 1:
        return np.tensordot(GREY, planes[:3], 1)[None].astype(planes.dtype)
    raise ValueError(f"expected {channels} channels, got {len(planes)}; set channels = {len(planes)}")


def _tiff(path: Path) -> NDArray[np.generic]:
    try:
        import tifffile
    except ImportError:
        raise ValueError("a TIFF that Pillow cannot read; pip install tifffile") from None
    return tifffile.imread(path)  # type: ignore[no-any-return]
