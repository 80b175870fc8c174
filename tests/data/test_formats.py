"""Every format in every number of channels equals an independent decoder's, or is broken."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from pymim.data.decode import decode
from tests.data import pictures as made
from tests.data.pictures import rows

RGB, GREY = made.levels(), made.levels(bands=1)
DEEP_GREY = made.levels(bands=1, dtype=np.uint16)


def opaque(pixels):
    return np.concatenate([pixels, np.full_like(pixels[..., :1], 255)], -1)


def ycck(pixels):
    """A CMYK JPEG whose Adobe marker says that its colours are YCCK."""
    blob = bytearray(made.encoded(Image.fromarray(pixels).convert("CMYK"), "jpeg"))
    blob[blob.index(b"Adobe") + 11] = 2
    return bytes(blob)


# Opaque pictures of 8 bits or less: what Pillow itself makes of them is right.
EIGHT = {
    "jpeg": made.encoded(RGB, "jpeg"),
    "progressive jpeg": made.encoded(RGB, "jpeg", progressive=True, subsampling=2),
    "grey jpeg": made.encoded(GREY, "jpeg"),
    "CMYK jpeg": made.encoded(Image.fromarray(RGB).convert("CMYK"), "jpeg"),
    "YCCK jpeg": ycck(RGB),
    "png": made.encoded(RGB, "png"),
    "grey png": made.encoded(GREY, "png"),
    "1-bit png": made.encoded(Image.fromarray(GREY > 99), "png"),
    "palette png": made.encoded(Image.fromarray(RGB).quantize(16), "png"),
    "4-bit palette png": made.encoded(Image.fromarray(RGB).quantize(16), "png", bits=4),
    "bmp": made.encoded(RGB, "bmp"),
    "palette bmp": made.encoded(Image.fromarray(RGB).quantize(16), "bmp"),
    "gif": made.encoded(Image.fromarray(RGB).quantize(16), "gif"),
    "webp": made.encoded(RGB, "webp", lossless=True),
    "lossy webp": made.encoded(RGB, "webp"),
    "ppm": made.encoded(RGB, "ppm"),
    "pgm": made.encoded(GREY, "ppm"),
    "pbm": made.encoded(Image.fromarray(GREY > 99), "ppm"),
    "tiff": made.encoded(RGB, "tiff"),
    "grey tiff": made.encoded(GREY, "tiff"),
    "1-bit tiff": made.encoded(Image.fromarray(GREY > 99), "tiff", compression="group4"),
    "lzw tiff": made.encoded(RGB, "tiff", compression="tiff_lzw"),
    "jpeg tiff": made.encoded(RGB, "tiff", compression="jpeg"),
    "palette tiff": made.encoded(Image.fromarray(RGB).quantize(16), "tiff"),
    "CMYK tiff": made.encoded(Image.fromarray(RGB).convert("CMYK"), "tiff"),
    "opaque png": made.encoded(opaque(RGB), "png"),
    "tiny png": made.encoded(made.levels(3, 5), "png"),
    "narrow png": made.encoded(made.levels(5, 3), "png"),
    "one pixel": made.encoded(made.levels(1, 1), "png"),
}


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("name", EIGHT)
def test_eight_bits_are_as_pillow_converts_them(name, channels):
    with Image.open(io.BytesIO(EIGHT[name])) as image:
        right = np.asarray(image.convert({1: "L", 3: "RGB", 4: "RGBA"}[channels]))
    read = decode(EIGHT[name], channels)
    assert read.dtype == torch.uint8 and read.is_contiguous() and read.ndim == 3
    assert np.array_equal(rows(read), right)


@pytest.mark.parametrize("name", ["png", "tiff", "webp", "bmp", "ppm"])
def test_without_loss_the_pixels_are_those_written(name):
    assert np.array_equal(rows(decode(EIGHT[name], 3)), RGB)


def grey_of(pixels):
    """float64 [H W] of colours [H W 3]."""
    return pixels @ np.array([0.299, 0.587, 0.114])


# What is no picture of 8 bits, and its numbers [H W] or [H W C], float64.
DEEP = {
    "16-bit png": (lambda: made.encoded(DEEP_GREY, "png"), DEEP_GREY / 65535),
    "16-bit pgm": (lambda: made.encoded(DEEP_GREY, "ppm"), DEEP_GREY / 65535),
    "16-bit tiff": (lambda: made.encoded(DEEP_GREY, "tiff"), DEEP_GREY / 65535),
    "float tiff": (lambda: made.encoded(GREY.astype(np.float32), "tiff"), GREY),
    "int32 tiff": (lambda: made.encoded(GREY.astype(np.int32), "tiff"), GREY / 65535),
    "pages tiff": (lambda: made.tiff(RGB.transpose(2, 0, 1).copy(), photometric="minisblack"), RGB),
    "planar tiff": (
        lambda: made.tiff(
            RGB.transpose(2, 0, 1).copy(), photometric="rgb", planarconfig="separate"
        ),
        RGB,
    ),
    "deep planar tiff": (
        lambda: made.tiff(
            made.levels(dtype=np.uint16).transpose(2, 0, 1).copy(),
            photometric="rgb",
            planarconfig="separate",
        ),
        made.levels(dtype=np.uint16) / 65535,
    ),
    "tiled tiff": (
        lambda: made.tiff(made.levels(48, 64, dtype=np.uint16), photometric="rgb", tile=(16, 16)),
        made.levels(48, 64, dtype=np.uint16) / 65535,
    ),
}


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("name", DEEP)
def test_more_than_eight_bits_are_as_they_were_written(name, channels):
    pytest.importorskip("tifffile")
    blob, right = DEEP[name][0](), DEEP[name][1]
    if name == "pages tiff" and channels != 3:
        with pytest.raises(
            ValueError, match=f"expected {channels} channels, got 3 pages of 1; set CHANNELS=3"
        ):
            decode(blob, channels)
        return
    read = decode(blob, channels).permute(1, 2, 0).double().numpy()
    colour = right if right.ndim == 3 else right[..., None].repeat(3, -1)
    if channels == 1:
        colour = grey_of(colour)[..., None]
    half_a_level = 0.5 if right.ndim == 3 and right.max() > 1 else 0  # grey of 8 bits is rounded
    np.testing.assert_allclose(read[..., :3], colour, atol=half_a_level + 1e-4)
    if channels == 4:
        assert (read[..., 3] == (255 if name == "planar tiff" else 1)).all()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "kind", ["b1", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"]
)
def test_arrays_of_every_type(tmp_path, kind, order):
    numbers = (np.arange(3 * 12 * 20).reshape(3, 12, 20) % 100).astype(
        np.dtype(kind).newbyteorder(order)
    )
    np.save(tmp_path / "x.npy", numbers)
    scale = {"b1": 1 / 255, "u2": 65535, "i4": 65535}.get(kind, 1)
    read = decode(tmp_path / "x.npy", 3)
    assert read.dtype == (torch.uint8 if kind in ("b1", "u1") else torch.float32)
    np.testing.assert_allclose(read, numbers.astype(np.float64) / scale, rtol=1e-6)
    np.save(tmp_path / "x.npy", numbers.transpose(1, 2, 0))
    assert torch.equal(decode(tmp_path / "x.npy", 3), read)
    grey = grey_of(numbers.astype(np.float64).transpose(1, 2, 0)) / scale
    np.testing.assert_allclose(decode(tmp_path / "x.npy", 1)[0], grey, atol=0.5001)


@pytest.mark.parametrize(
    ("shape", "channels", "reason"),
    [
        ((2, 12, 20), 3, "expected 3 channels, got 2; set CHANNELS=2"),
        ((12, 20, 4), 3, "expected 3 channels, got 4; set CHANNELS=4"),
        ((12, 20), 4, "expected 4 channels, got 1; set CHANNELS=1"),
        ((20,), 3, r"expected an array \[H W\], \[H W C\] or \[C H W\], got \[20\]"),
        ((2, 3, 12, 20), 3, r"got \[2, 3, 12, 20\]"),
        ((), 3, r"got \[\]"),
        ((0, 12, 3), 3, r"expected pixels, got none: an array \[0, 12, 3\]"),
    ],
)
def test_arrays_of_another_shape_are_broken(tmp_path, shape, channels, reason):
    """What a second or fourth channel is, the file does not say: none is dropped."""
    np.save(tmp_path / "x.npy", np.zeros(shape, np.uint8))
    with pytest.raises(ValueError, match=reason):
        decode(tmp_path / "x.npy", channels)


def test_white_is_white_in_grey(tmp_path):
    np.save(tmp_path / "x.npy", np.full((12, 20, 3), 255, np.uint8))
    assert (decode(tmp_path / "x.npy", 1) == 255).all()


def short(blob, share=0.6):
    return blob[: int(len(blob) * share)]


LARGE = made.levels(64, 64)

# Suffix, content, what is said.
BROKEN = {
    "nothing": ("jpg", b"", "an empty file, 0 bytes"),
    "text": (
        "jpg",
        b"not a picture",
        "expected JPEG, .*, got a file that begins with b'not a pictur'",
    ),
    "escapes": ("png", b"\x1b[2Jx", r"begins with b'\\x1b\[2Jx'"),
    "eps": ("jpg", made.EPS, "got PostScript"),
    "dos eps": ("tif", b"\xc5\xd0\xd3\xc6" + bytes(40), "got PostScript"),
    "pdf": ("png", b"%PDF-1.4", "got a PDF"),
    "page": ("jpg", b"<!DOCTYPE html>", "got HTML, XML or SVG"),
    "pointer": ("png", b"version https://git-lfs.github.com/spec/v1\n", "got a pointer of Git LFS"),
    "icon": ("png", made.encoded(LARGE, "ico"), "expected JPEG, .*, got a file that begins"),
    "jpeg 2000": (
        "png",
        made.encoded(LARGE, "jpeg2000"),
        "expected JPEG, .*, got a file that begins",
    ),
    "short jpeg": ("jpg", short(made.encoded(LARGE, "jpeg")), "truncated"),
    "jpeg's first bytes": ("jpg", made.encoded(LARGE, "jpeg")[:20], "cut short|truncated|damaged"),
    "short png": ("png", short(made.encoded(LARGE, "png")), "truncated"),
    "png's first bytes": ("png", made.encoded(LARGE, "png")[:20], "a PNG: Truncated File Read"),
    "png without end": ("png", made.encoded(LARGE, "png")[:33], "truncated|damaged|cut short"),
    "short deep png": (
        "png",
        short(made.deep_png(made.levels(64, 64, dtype=np.uint16))),
        "truncated",
    ),
    "short gif": (
        "gif",
        short(made.encoded(Image.fromarray(LARGE).quantize(), "gif")),
        "truncated|damaged",
    ),
    "short webp": (
        "webp",
        short(made.encoded(LARGE, "webp")),
        "decoder|cut short|truncated|damaged",
    ),
    "short bmp": ("bmp", short(made.encoded(LARGE, "bmp")), "truncated"),
    "short ppm": ("ppm", short(made.encoded(LARGE, "ppm")), "truncated"),
    "short tiff": ("tif", short(made.tiff(LARGE, photometric="rgb")), "truncated"),
    "short deep tiff": (
        "tif",
        short(made.tiff(LARGE.astype(np.uint16), photometric="rgb")),
        "a TIFF: failed to read",
    ),
    "short lzw tiff": (
        "tif",
        short(made.tiff(LARGE.astype(np.uint16), photometric="rgb", compression="lzw")),
        "a TIFF: ",
    ),
    "tiff's first bytes": (
        "tif",
        b"II*\0\x08\0\0\0",
        "expected a page, got none; the file may be cut short",
    ),
    "short npy": (
        "npy",
        short(made.npy(LARGE)),
        "an .npy file that is damaged, is cut short or holds objects: mmap length",
    ),
    "empty npy": ("npy", b"", "an empty file, 0 bytes"),
    "objects": ("npy", b"x", "an .npy file that .* holds objects: .*Python objects"),
    "complex npy": (
        "npy",
        made.npy(LARGE * 1j),
        "expected numbers, got complex128; save real ones",
    ),
    "words": ("npy", made.npy(np.array([["a", "b"]])), "expected numbers, got <U1"),
    "npz as npy": (
        "npy",
        b"PK\x03\x04" + bytes(60),
        "an .npy file that is damaged, .* magic string",
    ),
}


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_broken_pictures_are_reported_in_words(tmp_path, name, channels):
    suffix, blob, reason = BROKEN[name]
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(blob)
    if name == "objects":
        np.save(path, np.array([[{}, []]], object), allow_pickle=True)
    with pytest.raises(ValueError, match=reason) as error:
        decode(path, channels)
    words = str(error.value)
    assert len(words) > 12 and "\n" not in words and "\x1b" not in words
    assert not any(
        word in words for word in ("0x7", "<_io", "index out of range", "allow_pickle", "unpack")
    )


@pytest.mark.parametrize("kind", ["jpeg", "png", "gif", "webp", "bmp", "tiff", "ppm"])
@pytest.mark.filterwarnings("ignore")
def test_damaged_bytes_end_in_a_reason_or_a_picture(kind):
    """Each of 150 pictures has a few bytes changed."""
    whole = made.encoded(RGB, kind)
    random = np.random.default_rng(0)
    for _ in range(150):
        blob = bytearray(whole)
        for at in random.integers(0, len(blob), 4).tolist():
            blob[at] = int(random.integers(256))
        try:
            assert len(decode(bytes(blob), 3)) == 3
        except ValueError as error:
            assert str(error) and "<_io" not in str(error)
