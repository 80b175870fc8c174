"""Decode a file's bytes to channels, rows and columns."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from pymim.data import tiff
from pymim.data.channels import fitted, to_bits, to_channels, whole
from pymim.data.raster import FORMATS, PNG, raster

PILLOW = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff")
SUFFIXES = (*PILLOW, ".npy")

EMPTY = "an empty file, 0 bytes"

# How files begin, for messages.
KINDS = {
    b"\xff\xd8\xff": "a JPEG",
    PNG: "a PNG",
    b"BM": "a BMP",
    b"GIF8": "a GIF",
    b"RIFF": "a WebP",
    b"II*\0": "a TIFF",
    b"MM\0*": "a TIFF",
    b"%!PS": "PostScript",
    b"\xc5\xd0\xd3\xc6": "PostScript",
    b"%PDF": "a PDF",
    b"\x93NUMPY": "a numpy array",
    b"PK\x03\x04": "a zip archive",
    b"<": "HTML, XML or SVG",
    b"version https://git-lfs": "a pointer of Git LFS",
}


def decode(file: bytes | Path, channels: int) -> Tensor:
    """Decode a picture [C H W]: uint8, or float32 if the file has more than 8 bits.

    16-bit integers are on [0, 1]. The picture is turned as its EXIF data say. Transparency is
    blended with white unless channels = 4. Pages of a TIFF are channels; of an animation the first
    frame is taken.

    Raises: ValueError with the reason in one line, if the file cannot be read or has no such
    channels.
    """
    blob = b""
    try:
        if isinstance(file, Path):
            _regular(file)
            if file.suffix.lower() == ".npy":
                return whole(to_channels(_mapped(file), channels))
        blob = file if isinstance(file, bytes) else file.read_bytes()
        read = tiff.tiff if blob.startswith(tiff.STARTS) else raster
        return whole(fitted(to_bits(read(blob, channels)), channels))
    except Exception as error:  # decoders raise errors of any class
        raise ValueError(_reason(error, blob)) from error


def _regular(path: Path) -> None:
    """Refuse a file that is not regular: opening a pipe or a device would wait for ever."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("expected a file, got a folder, a pipe or a device")
    if not found.st_size:
        raise ValueError(EMPTY)


def _mapped(path: Path) -> NDArray[np.generic]:
    """Map an array from its file: that finds a truncated file at once and unpickles nothing."""
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except ValueError as error:
        raise ValueError(
            f"an .npy file that is damaged, is cut short or holds objects: {error}"
        ) from None


def _reason(error: Exception, blob: bytes) -> str:
    """Say what is wrong, in one line."""
    kind = next((name for start, name in KINDS.items() if blob.startswith(start)), "")
    if isinstance(error, UnidentifiedImageError):
        return _unknown(blob, kind)
    if isinstance(
        error, ValueError | OSError | SyntaxError | Image.DecompressionBombError | Warning
    ):
        words = " ".join((getattr(error, "strerror", None) or str(error)).split())
        return f"{kind}: {words}" if kind and words else words or "a file that is damaged"
    if isinstance(error, MemoryError):
        return "expected a picture that fits into memory, got a larger one"
    return f"{kind or 'a file'} that is damaged ({type(error).__name__})"


def _unknown(blob: bytes, kind: str) -> str:
    if not blob:
        return EMPTY
    if kind.removeprefix("a ").upper() in FORMATS:
        return f"{kind} that is damaged or cut short, {len(blob)} bytes"
    return f"expected {', '.join(FORMATS)}, got {kind or f'a file that begins with {blob[:12]!r}'}"
