"""Decode encoded pictures with Pillow, only in formats that Pillow decodes itself."""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pymim.data.channels import Planes, as_seen, to_bits
from pymim.data.log import log
from pymim.data.turning import AS_STORED, Turn, by_orientation

# The formats allowed, whatever a file's name says. For some others Pillow starts programs, such as
# Ghostscript for EPS.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "PPM", "TIFF")
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")
ORIENTATION = 0x0112
TURNED = frozenset({"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"})
PNG = b"\x89PNG\r\n\x1a\n"


@contextmanager
def opened(file: bytes, formats: tuple[str, ...] = FORMATS) -> Iterator[Any]:
    """Open a picture of one of these formats. Raises: ValueError if it claims too many pixels."""
    with Image.open(io.BytesIO(file), formats=formats) as image:
        fits(*image.size)
        yield image


def fits(width: int, height: int) -> None:
    """Refuse more pixels than Pillow takes without a warning: few bytes may claim any number.

    Raises: ValueError.
    """
    if Image.MAX_IMAGE_PIXELS and width * height > Image.MAX_IMAGE_PIXELS:
        raise ValueError(
            f"expected at most {Image.MAX_IMAGE_PIXELS} pixels, got {width} x {height}; cut the "
            "picture into tiles"
        )


def raster(file: bytes, channels: int) -> NDArray[Any]:
    """Decode a picture [C H W], turned for viewing, on white if it is transparent."""
    with opened(file) as image:
        if _deep_png(file, image):
            image.load()  # reads the data after the pixels, and finds a truncated file
            return _orientation(image)(_deep(file, channels).transpose(1, 2, 0)).transpose(2, 0, 1)
        _refuse_cut(image)
        # The further pictures of an MPO are for depth, not an animation.
        if image.format != "MPO" and getattr(image, "is_animated", False):
            say_once("only the first frame of an animation (%s) is used", str(image.format))
        return pixels(image, channels)


def pixels(image: Image.Image, channels: int) -> NDArray[Any]:
    """Return [C H W] of an opened picture that Pillow keeps without loss."""
    image.load()
    turn = _orientation(image)
    if image.mode[0] in "IF":
        return as_seen(to_bits(turn(np.asarray(image))[None]), channels, alpha=False)
    if channels in (1, 3) and (image.mode in ALPHA or "transparency" in image.info):
        image = _on_white(image)
    rows = turn(np.asarray(image.convert(MODES.get(channels, image.mode))))
    return rows[None] if rows.ndim == 2 else rows.transpose(2, 0, 1)


@functools.lru_cache
def say_once(text: str, *words: object) -> None:
    """Log how a kind of file is treated, once in each process."""
    log.warning(text, *words)


def needed(name: str, what: str) -> Any:
    """Import a decoder for more than 8 bits. Raises: ValueError if it is not installed."""
    try:
        return __import__(name)
    except ImportError:
        raise ValueError(
            f"expected {name}, which {what} need, got none; pip install 'pymim[deep]'"
        ) from None


def _orientation(image: Image.Image) -> Turn:
    """Return how a loaded picture is turned; not at all if its EXIF data are damaged."""
    if TURNED.isdisjoint(image.info) and image.format != "TIFF":
        return AS_STORED
    try:
        return by_orientation(image.getexif().get(ORIENTATION))
    except Exception:  # Pillow raises errors of any class
        return AS_STORED


def _on_white(image: Image.Image) -> Image.Image:
    layers = image.convert("RGBA")
    if layers.getchannel("A").getextrema() == (255, 255):
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), layers).convert("RGB")


def _deep_png(file: bytes, image: Image.Image) -> bool:
    """Say whether Pillow would cut a PNG to 8 bits: 16 bits with colour or alpha.

    A PNG's header has a fixed length, so that byte 24 is the depth.
    """
    return (
        file.startswith(PNG)
        and file[24] == 16
        and (image.mode[0] != "I" or "transparency" in image.info)
    )


def _deep(file: bytes, channels: int) -> Planes:
    rows = needed("imagecodecs", "PNGs of 16 bits with colour or alpha").png_decode(file)
    rows = rows[..., None] if rows.ndim == 2 else rows
    return as_seen(to_bits(rows.transpose(2, 0, 1)), channels, alpha=rows.shape[2] in (2, 4))


def _refuse_cut(image: Any) -> None:
    """Refuse a PPM that Pillow would scale to 8 bits; its decoder's argument has the maximum."""
    if image.format == "PPM" and image.mode == "RGB":
        given = image.tile[0][3]
        if isinstance(given, tuple) and isinstance(given[-1], int) and given[-1] > 255:
            raise ValueError(
                f"expected a PPM with values up to 255, got up to {given[-1]}, which would be cut "
                "to 8 bits; save it as PNG"
            )
