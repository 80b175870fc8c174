"""Pictures are decoded for viewing: turned, deep, of several frames; or broken."""

import ast
import io
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from pymim import data
from pymim.data import raster
from pymim.data.decode import decode
from tests.data import pictures as made
from tests.data.pictures import rows
from tests.sources import LIBRARY, name_of, tree


@pytest.fixture(autouse=True)
def nothing_was_said():
    raster.say_once.cache_clear()


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff"])
@pytest.mark.parametrize("number", range(1, 9))
def test_pictures_are_turned_as_their_exif_data_say(tmp_path, kind, number):
    blob = made.encoded(made.levels(), kind, exif=made.oriented(number))
    with Image.open(io.BytesIO(blob)) as image:
        right = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    (tmp_path / f"x.{kind}").write_bytes(blob)
    assert right.shape[:2] == ((12, 20) if number < 5 else (20, 12))
    assert np.array_equal(rows(decode(blob, 3)), right)
    assert torch.equal(decode(tmp_path / f"x.{kind}", 3), decode(blob, 3))


TURNS = {
    2: lambda a: a[:, ::-1],
    3: lambda a: np.rot90(a, 2),
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: np.rot90,
}


@pytest.mark.parametrize("number", TURNS)
def test_every_decoder_turns_pictures(number):
    """By hand: grey and deep pictures, and those that another library reads."""
    pytest.importorskip("imagecodecs"), pytest.importorskip("tifffile")
    deep, grey = made.levels(dtype=np.uint16), made.levels(bands=1, dtype=np.uint16)
    exif, tag = (
        made.oriented(number).tobytes().removeprefix(b"Exif\0\0"),
        [(274, 3, 1, number, True)],
    )
    for pixels in (deep, grey):
        right = TURNS[number](pixels) / 65535
        for blob in (made.deep_png(pixels, (b"eXIf", exif)), made.tiff(pixels, extratags=tag)):
            np.testing.assert_allclose(
                rows(decode(blob, 1 if pixels.ndim == 2 else 3)), right, atol=1e-6
            )


def test_folders_and_parquet_files_turn(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    blob = made.encoded(made.levels(), "png", exif=made.oriented(6))
    (tmp_path / "x.png").write_bytes(blob)
    parquet.write_table(
        pyarrow.table({"image": [{"bytes": blob, "path": None}]}), tmp_path / "x.parquet"
    )
    right = np.rot90(made.levels(), -1)
    assert np.array_equal(rows(data.PictureFolder(tmp_path)[0].image), right)
    assert np.array_equal(rows(data.Parquet(tmp_path / "x.parquet")[0].image), right)


@pytest.mark.parametrize("exif", [b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0nonsense", b"\0" * 9])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_data_turn_nothing(exif):
    plain, damaged = (
        made.encoded(made.levels(), "jpeg", **given) for given in ({}, {"exif": exif})
    )
    assert torch.equal(decode(damaged, 3), decode(plain, 3))


@pytest.mark.parametrize("bands", [1, 2, 3, 4])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_of_any_kind_keep_their_depth(bands, channels):
    pytest.importorskip("imagecodecs")
    pixels = made.levels(bands=bands, dtype=np.uint16)
    real = (pixels / 65535).reshape(12, 20, bands)
    colour, alpha = (
        (real[..., :-1], real[..., -1:]) if bands in (2, 4) else (real, np.ones((12, 20, 1)))
    )
    if channels == 4:
        right = np.concatenate([np.broadcast_to(colour, (12, 20, 3)), alpha], -1)
    else:
        seen = made.on_white(np.concatenate([colour, alpha], -1))
        grey = seen @ [0.299, 0.587, 0.114] if seen.shape[2] == 3 else seen[..., 0]
        right = grey[..., None] if channels == 1 else np.broadcast_to(seen, (12, 20, 3))
    read = decode(made.deep_png(pixels), channels)
    assert read.dtype == torch.float32
    np.testing.assert_allclose(read.permute(1, 2, 0), right, atol=2e-6)


@pytest.mark.parametrize(
    ("blob", "name"),
    [(lambda: made.deep_png(made.levels(dtype=np.uint16)), "imagecodecs"), (None, "tifffile")],
)
def test_a_missing_library_is_an_error_and_never_cuts_the_depth(monkeypatch, blob, name):
    pytest.importorskip("tifffile")
    given = blob() if blob else made.tiff(made.levels(dtype=np.uint16), photometric="rgb")
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        ValueError, match=rf"expected {name}, .* need, got none; pip install 'pymim\[deep\]'"
    ):
        decode(given, 3)


def test_a_deep_ppm_is_refused_as_pillow_cuts_it():
    pixels = made.levels(dtype=np.uint16).astype(">u2")
    with pytest.raises(
        ValueError,
        match="a PPM with values up to 255, got up to 65535, which would be cut to 8 bits",
    ):
        decode(b"P6\n20 12\n65535\n" + pixels.tobytes(), 3)
    grey = pixels[..., 0]
    read = decode(b"P5\n20 12\n65535\n" + grey.tobytes(), 1)
    np.testing.assert_allclose(rows(read), grey / 65535, atol=1e-6)


@pytest.mark.parametrize("kind", ["gif", "png", "webp"])
def test_only_the_first_frame_of_an_animation_is_used_and_logged(caplog, kind):
    frames = [Image.new("RGB", (20, 12), colour) for colour in ("red", "green", "blue")]
    lossless = {"lossless": True} if kind == "webp" else {}
    blob = made.encoded(
        frames[0], kind, save_all=True, append_images=frames[1:], duration=40, **lossless
    )
    for _ in range(2):
        assert np.array_equal(rows(decode(blob, 3)), np.asarray(frames[0]))
    assert caplog.messages == [f"only the first frame of an animation ({kind.upper()}) is used"]


def test_further_pictures_in_a_jpeg_are_not_read(caplog):
    first, second = (Image.fromarray(made.levels(seed=seed)) for seed in (0, 1))
    blob = made.encoded(first, "mpo", save_all=True, append_images=[second])
    with Image.open(io.BytesIO(blob)) as image:
        assert image.format == "MPO" and np.array_equal(rows(decode(blob, 3)), np.asarray(image))
    assert not caplog.messages


@pytest.mark.parametrize("name", ["x.jpg", "x.png", "x.tif", "x.gif"])
def test_no_file_starts_another_program(tmp_path, monkeypatch, name):
    """Pillow knows EPS by its content and starts Ghostscript."""

    def start(*given, **_):
        raise AssertionError(f"started {given}")

    for place, call in ((subprocess, "Popen"), (subprocess, "check_call"), (os, "system")):
        monkeypatch.setattr(place, call, start)
    (tmp_path / name).write_bytes(made.EPS)
    with pytest.raises(ValueError, match=r"expected JPEG, PNG, .*, got PostScript"):
        decode(tmp_path / name, 3)
    with pytest.raises(data.Unreadable, match="got PostScript"):
        data.PictureFolder(tmp_path)[0]


def test_pictures_are_opened_by_a_list_of_formats_everywhere():
    calls = [
        (name_of(path), call)
        for path in LIBRARY
        if "Image.open" in path.read_text()
        for call in ast.walk(tree(path))
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "Image.open"
    ]
    assert len(calls) >= 3
    assert not [
        name for name, call in calls if "formats" not in {word.arg for word in call.keywords}
    ]


@pytest.mark.filterwarnings("default::PIL.Image.DecompressionBombWarning")
def test_a_picture_of_too_many_pixels_is_broken(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 150)
    with (
        pytest.warns(Image.DecompressionBombWarning),
        pytest.raises(ValueError, match=r"expected at most 150 pixels, got 20 x 12"),
    ):
        decode(made.encoded(made.levels(), "png"), 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    with pytest.raises(ValueError, match="exceeds limit of 100 pixels"):
        decode(made.encoded(made.levels(), "png"), 3)


@pytest.mark.parametrize("name", ["x.jpg", "x.npy", "x.tif"])
def test_only_regular_files_are_read(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(ValueError, match="expected a file, got a folder, a pipe or a device"):
        decode(tmp_path / name, 3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_a_picture_with_a_number_that_is_not_finite_is_broken(tmp_path, value):
    pytest.importorskip("tifffile")
    for number in range(8):
        pixels = np.full((1, 12, 20), number, np.float64)
        pixels[0, 3, 4] = value if number == 5 else 0
        np.save(tmp_path / f"{number}.npy", pixels)
    with pytest.raises(
        data.Unreadable, match="1 of 240 numbers are infinite or not a number; replace them"
    ):
        data.PictureFolder(tmp_path, 1)[5]
    (tmp_path / "5.npy").unlink()
    (tmp_path / "5.tif").write_bytes(made.tiff(np.full((12, 20), value, np.float64)))
    with pytest.raises(data.Unreadable, match="240 of 240 numbers are infinite"):
        data.PictureFolder(tmp_path, 1)[5]
    stack = np.zeros((8, 1, 12, 20))
    stack[5, 0, 3, 4] = value
    np.save(tmp_path / "stack.npy", stack)
    for source in (
        data.Array(tmp_path / "stack.npy", 1),
        data.open(tmp_path / "stack.npy", channels=1),
    ):
        with pytest.raises(data.Unreadable) as error:
            source.take(np.arange(8))
        assert error.value.index == 5
        with pytest.raises(data.Unreadable, match="1 of 240 numbers"):
            source[5]
