"""TIFF files: pages, bands and numbers are what was written, or refused."""

import io

import numpy as np
import pytest

from pymim.data import raster
from pymim.data.decode import decode
from tests.data import pictures as made
from tests.data.pictures import rows

tifffile = pytest.importorskip("tifffile")


@pytest.fixture(autouse=True)
def nothing_was_said():
    raster.say_once.cache_clear()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
def test_pages_of_a_tiff_are_channels(caplog, dtype, compression):
    pytest.importorskip("imagecodecs")
    planes = made.levels(bands=8, dtype=np.uint16).transpose(2, 0, 1).astype(dtype)
    blob = made.tiff(planes, photometric="minisblack", compression=compression)
    read = decode(blob, 8)
    scale = 65535 if dtype is np.uint16 else 1
    np.testing.assert_allclose(read.numpy(), planes / scale, rtol=1e-6)
    assert caplog.messages == ["the 8 pages of a TIFF are read as the channels of one picture"]
    for channels in (1, 3):
        with pytest.raises(
            ValueError, match=f"expected {channels} channels, got 8 pages of 1; set CHANNELS=8, or"
        ):
            decode(blob, channels)


def test_smaller_copies_of_a_page_are_no_channels():
    large, small = made.levels(48, 64), made.levels(24, 32)
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(large, photometric="rgb")
        writer.write(small, photometric="rgb", subfiletype=1)
    assert np.array_equal(rows(decode(file.getvalue(), 3)), large)


def test_pages_of_several_sizes_are_refused():
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(made.levels(48, 64), photometric="rgb")
        writer.write(made.levels(24, 32), photometric="rgb")
    with pytest.raises(
        ValueError, match=r"expected pages of one size, got \[48, 64, 3\], \[24, 32, 3\]; save each"
    ):
        decode(file.getvalue(), 3)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_bands_without_a_meaning_are_kept(planar):
    """Pillow drops them, or sees no picture."""
    for bands in (4, 5):
        pixels = made.levels(bands=bands)
        given = pixels if planar == "contig" else pixels.transpose(2, 0, 1).copy()
        extra = ["unspecified"] * (bands - 3)
        blob = made.tiff(given, photometric="rgb", planarconfig=planar, extrasamples=extra)
        assert np.array_equal(rows(decode(blob, bands)), pixels)
        with pytest.raises(
            ValueError, match=f"expected 3 channels, got {bands}; set CHANNELS={bands}"
        ):
            decode(blob, 3)


TIFFS = {
    "uint32": (lambda: made.levels(bands=1, dtype=np.uint32), 1),
    "float64": (lambda: np.linspace(-1, 1, 240).reshape(12, 20), 1),
    "float16": (lambda: np.linspace(-1, 1, 240).reshape(12, 20).astype(np.float16), 1),
    "big-endian uint16": (lambda: made.levels(bands=1, dtype=np.uint16).astype(">u2"), 65535),
    "rgb uint16": (lambda: made.levels(dtype=np.uint16), 65535),
    "rgb float32": (lambda: made.levels().astype(np.float32) / 7, 1),
}


@pytest.mark.parametrize("name", TIFFS)
def test_numbers_of_a_tiff_are_what_was_written(name):
    pixels, scale = TIFFS[name][0](), TIFFS[name][1]
    options = {"photometric": "rgb"} if pixels.ndim == 3 else {}
    options |= {"byteorder": ">"} if "big" in name else {}
    read = rows(decode(made.tiff(pixels, **options), 1 if pixels.ndim == 2 else 3))
    np.testing.assert_allclose(read, pixels.astype(np.float64) / scale, rtol=1e-6)


def test_white_may_be_zero_in_a_tiff():
    for dtype, top in ((np.uint8, 255), (np.uint16, 65535)):
        pixels = made.levels(bands=1, dtype=dtype)
        read = rows(decode(made.tiff(pixels, photometric="miniswhite"), 1)).astype(float)
        np.testing.assert_allclose(
            read * (65535 if top > 255 else 1), top - pixels.astype(float), atol=0.01
        )
