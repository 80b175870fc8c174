"""Encode pictures for tests, without the library that reads them where ten lines are enough."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def levels(height=12, width=20, bands=3, seed=0, dtype=np.uint8):
    """Numbers [H W C], or [H W] of one band."""
    top = np.iinfo(dtype).max
    numbers = np.random.default_rng(seed).integers(
        0, top, (height, width, bands), dtype, endpoint=True
    )
    return numbers[..., 0] if bands == 1 else numbers


def encoded(image, kind, **options):
    file = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(file, kind, **options)
    return file.getvalue()


def chunk(name, content):
    return (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
    )


def deep_png(pixels, *chunks):
    """A PNG of 16 bits, of uint16 [H W] or [H W C]: grey, grey and alpha, RGB or RGBA."""
    height, width = pixels.shape[:2]
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[1 if pixels.ndim == 2 else pixels.shape[2]]
    rows = b"".join(b"\0" + row.tobytes() for row in pixels.astype(">u2").reshape(height, -1))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0))
    body = [chunk(*given) for given in chunks] + [
        chunk(b"IDAT", zlib.compress(rows)),
        chunk(b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(body)


def tiff(pixels, **options):
    import tifffile

    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)
    return file.getvalue()


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def oriented(number):
    exif = Image.Exif()
    exif[0x0112] = number
    return exif


def on_white(rgba):
    """float [H W C] on [0, 1] of colours and alpha on [0, 1]."""
    return rgba[..., :-1] * rgba[..., -1:] + 1 - rgba[..., -1:]


EPS = (
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n"
    b"newpath 0 0 moveto 8 8 lineto stroke\nshowpage\n%%EOF\n"
)


def rows(image):
    """Return a picture [C H W] as [H W C] or [H W]."""
    pixels = image.permute(1, 2, 0).numpy()
    return pixels.squeeze(-1) if len(image) == 1 else pixels
