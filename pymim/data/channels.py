"""Convert arrays of any number type and layout to channels, rows and columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

GREY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R 601
SIXTEEN = (np.dtype(np.uint16), np.dtype(np.int32))

Planes = NDArray[np.uint8] | NDArray[np.float32]


def to_channels(array: NDArray[np.generic], channels: int) -> Tensor:
    """Convert an array [H W], [H W C] or [C H W] of any number type to [channels H W].

    Grey is repeated for 3 channels, colour becomes grey for 1. Raises: ValueError for anything
    else: the meaning of a second or fourth channel is unknown, so none is dropped.
    """
    planes = array[None] if array.ndim == 2 else array
    if planes.ndim != 3:
        raise ValueError(f"expected an array [H W], [H W C] or [C H W], got {list(array.shape)}")
    if not array.size:
        raise ValueError(f"expected pixels, got none: an array {list(array.shape)}")
    if (
        array.ndim == 3
        and planes.shape[0] != channels
        and planes.shape[2] in (channels, min(planes.shape))
    ):
        planes = planes.transpose(2, 0, 1)
    return fitted(to_bits(planes), channels)


def to_bits(array: NDArray[np.generic]) -> Planes:
    """Convert numbers to uint8 or float32.

    uint8 stays. Booleans become 0 and 255. 16-bit integers, which Pillow may keep in 32 bits,
    become float32 on [0, 1]. Other numbers become float32 unscaled. Raises: ValueError for what is
    no number.
    """
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype == np.uint8:
        return array  # type: ignore[return-value]
    if array.dtype.kind not in "iuf":
        raise ValueError(f"expected numbers, got {array.dtype}; save real ones")
    scale = np.float32(1 / 65535 if array.dtype.newbyteorder("=") in SIXTEEN else 1)
    with np.errstate(over="ignore"):  # `whole` refuses what is too large
        return array.astype(np.float32) * scale


def fitted(planes: Planes, channels: int) -> Tensor:
    """Convert planes [C H W] to a tensor [channels H W]. Raises: ValueError."""
    # Copy: the array may be a view of a mapped file.
    return torch.from_numpy(np.array(_matched(planes, channels), order="C"))


def whole(image: Tensor) -> Tensor:
    """Return the picture if all its numbers are finite. Raises: ValueError otherwise."""
    if image.is_floating_point() and not (finite := torch.isfinite(image)).all():
        count = int(finite.logical_not().sum())
        raise ValueError(
            f"{count} of {image.numel()} numbers are infinite or not a number; replace them in the "
            "file"
        )
    return image


def as_seen(planes: Planes, channels: int, alpha: bool) -> Planes:
    """Convert a picture [C H W] to 1, 3 or 4 channels, if it can be one of them.

    alpha: the last channel is alpha.

    For 4 channels, missing colour and alpha are added. For 1 or 3, a transparent picture is blended
    with white; where it is opaque, no bit changes. Any other picture stays as it is.
    """
    top = 255 if planes.dtype == np.uint8 else 1
    colour = planes[:-1] if alpha else planes
    cover = planes[-1:] if alpha else np.full_like(planes[:1], top)
    if channels == 4 and len(colour) in (1, 3):
        return np.concatenate([np.repeat(colour, 3 // len(colour), axis=0), cover])
    if not alpha or channels not in (1, 3):
        return planes
    share = cover.astype(np.float32) / np.float32(top)
    return _rounded(colour * share + np.float32(top) * (1 - share), planes.dtype)


def _matched(planes: NDArray[Any], channels: int) -> NDArray[Any]:
    if len(planes) == channels:
        return planes
    if len(planes) == 1 and channels == 3:
        return np.repeat(planes, channels, axis=0)
    if len(planes) == 3 and channels == 1:
        return _rounded(np.tensordot(GREY, planes, 1)[None], planes.dtype)
    raise ValueError(f"expected {channels} channels, got {len(planes)}; set CHANNELS={len(planes)}")


def _rounded(numbers: NDArray[Any], kind: np.dtype[Any]) -> Planes:
    return np.rint(numbers).astype(np.uint8) if kind == np.uint8 else numbers.astype(np.float32)
