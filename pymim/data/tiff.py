"""Read TIFF files of any depth and with several pages."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import UnidentifiedImageError

from pymim.data.channels import Planes, as_seen, to_bits
from pymim.data.raster import fits, needed, opened, pixels, say_once
from pymim.data.turning import by_orientation

STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# Numbers of tags in TIFF 6.0.
SUBFILE, BITS = 254, 258
COLOURS, EXTRA = 262, 338
SIGN, TURN = 339, 274
# Values of the tag PhotometricInterpretation.
WHITE_IS_ZERO, BLACK_IS_ZERO = 0, 1
RGB, YCBCR = 2, 6
SMALLER_OR_MASK = 1 | 4  # bits of the tag NewSubfileType
PREMULTIPLIED = 1  # in the tag ExtraSamples: colours are multiplied by alpha; 2: they are not


def tiff(file: bytes, channels: int) -> NDArray[Any]:
    """Decode a TIFF [C H W]. Its pages are channels, and there must be `channels` of them.

    Pillow reads what it keeps without loss, tifffile the rest.

    Raises: ValueError if pages and channels do not match, or the colour space is not supported.
    """
    try:
        with opened(file, ("TIFF",)) as image:
            if _kept_whole(image):
                return pixels(image, channels)
    except UnidentifiedImageError:
        pass  # a layout that Pillow does not know
    return _any(file, channels)


def _kept_whole(image: Any) -> bool:
    """Say whether the file has one page that Pillow reads without loss."""
    tags: dict[int, Any] = image.tag_v2
    if _pages(image) > 1 or 0 in tags.get(EXTRA, ()):
        return False
    if image.mode[0] in "IF":
        unsigned = (
            max(tags.get(BITS, (1,))) == 32
            and image.mode[0] == "I"
            and tags.get(SIGN, (1,))[0] == 1
        )
        return bool(tags.get(COLOURS) == BLACK_IS_ZERO and not unsigned)
    return bool(max(tags.get(BITS, (1,))) <= 8)


def _pages(image: Any) -> int:
    """Count the pages that are not smaller copies or masks of another."""
    kinds = []
    for number in range(image.n_frames):
        image.seek(number)
        kinds.append(image.tag_v2.get(SUBFILE, 0))
    image.seek(0)
    return 1 + sum(not kind & SMALLER_OR_MASK for kind in kinds[1:])


def _any(file: bytes, channels: int) -> Planes:
    library = needed("tifffile", "TIFFs with several pages or bands of more than 8 bits")
    with library.TiffFile(io.BytesIO(file)) as opened_file:
        series = [
            one for one in opened_file.series if not int(one.keyframe.subfiletype) & SMALLER_OR_MASK
        ]
        if not series:
            raise ValueError("expected a page, got none; the file may be cut short")
        if len(series) > 1:
            shapes = ", ".join(str(list(one.shape)) for one in series)
            raise ValueError(
                f"expected pages of one size, got {shapes}; save each picture as a file"
            )
        return _planes(series[0], channels)


def _planes(series: Any, channels: int) -> Planes:
    page, axes = series.keyframe, series.axes
    fits(page.imagewidth, page.imagelength)
    if page.photometric not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, YCBCR):
        raise ValueError(f"expected grey or RGB, got {page.photometric.name}; convert the picture")
    extra = tuple(page.extrasamples)
    count = int(np.prod(series.shape)) // (page.imagewidth * page.imagelength)
    alpha = count == len(extra) + (3 if page.photometric == RGB else 1) and extra in ((1,), (2,))
    if len(series) > 1 and count != channels:
        raise ValueError(_mismatch(len(series), count, channels))
    if len(series) > 1:
        say_once("the %d pages of a TIFF are read as the channels of one picture", len(series))
    order = [
        *(n for n, axis in enumerate(axes) if axis not in "SYX"),
        *(axes.index(a) for a in "SYX" if a in axes),
    ]
    planes = series.asarray().transpose(order).reshape(count, page.imagelength, page.imagewidth)
    if page.photometric == WHITE_IS_ZERO and planes.dtype.kind == "u":
        planes = np.iinfo(planes.dtype).max - planes
    turn = by_orientation(page.tags.valueof(TURN))
    planes = turn(planes.transpose(1, 2, 0)).transpose(2, 0, 1)
    return as_seen(_apart(to_bits(planes), extra), channels, alpha)


def _mismatch(pages: int, count: int, channels: int) -> str:
    return (
        f"expected {channels} channels, got {pages} pages of {count // pages}; set "
        f"CHANNELS={count}, or save each page as a file"
    )


def _apart(planes: Planes, extra: tuple[int, ...]) -> Planes:
    """Divide colours by the alpha they were multiplied by."""
    if extra != (PREMULTIPLIED,) or planes.dtype == np.uint8:
        return planes
    cover = planes[-1:]
    colour = np.divide(planes[:-1], cover, out=np.zeros_like(planes[:-1]), where=cover > 0)
    return np.concatenate([colour, cover])
