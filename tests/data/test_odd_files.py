"""Files as they should not be: each is said in one line with its path, or counted as broken; nothing is a traceback."""

import builtins
import io
import os
import struct
import zipfile

import numpy as np
import pytest

from pymim import data
from pymim.errors import DataError
from tests.data.trees import each, plant, png, write_arrays, write_parquet

PIXELS = np.zeros((5, 6, 5, 3), np.uint8)


def outcome(path):
    """What is in a training set, (pictures, labelled, broken); or the one line that says why there is none."""
    try:
        source = data.open(path, memory=0)
        data.open(path, "test", memory=0)
        broken = sum(is_broken(source, i) for i in range(len(source)))
    except DataError as error:
        text = str(error)
        assert "\n" not in text and "Traceback" not in text and "pickle" not in text, text
        return text
    labelled = 0 if source.labels is None else int((source.labels >= 0).sum())
    assert data.describe(source).startswith(f"{len(source)} pictures")
    return len(source), labelled, broken


def is_broken(source, index):
    try:
        source[index]
    except data.Unreadable as error:
        assert error.reason and "object at 0x" not in error.reason
        return True
    return False


def npy(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def header(shape, descr="'|u1'"):
    """The head of an .npy file, and nothing behind it."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def npz(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


SHAPE = r"expected \[N H W C\] or \[N C H W\] in .*, got "
NPY = {
    "plain": (npy(PIXELS), (5, 0, 0)),
    "grey": (npy(PIXELS[..., 0]), (5, 0, 0)),
    "boolean": (npy(PIXELS[..., 0] > 0), (5, 0, 0)),
    "half": (npy(PIXELS.astype("f2")), (5, 0, 0)),
    "swapped": (npy(PIXELS.astype(">u2")), (5, 0, 0)),
    "columns first": (npy(np.asfortranarray(PIXELS)), (5, 0, 0)),
    "no bytes": (b"", "it is empty"),
    "cut in its head": (npy(PIXELS)[:40], "cut short|neither numbers"),
    "cut in its data": (npy(PIXELS)[:-40], "it is cut short"),
    "longer than it says": (npy(PIXELS) + b"more", (5, 0, 0)),
    "no .npy": (b"no numbers at all, only text", "no file of numpy's"),
    "a picture": (png(), "no file of numpy's"),
    "an .npz": (npz(images=npy(PIXELS)), "got several; call it .npz"),
    "objects": (npy(np.array([{}], object), allow_pickle=True), "neither numbers nor text"),
    "words": (npy(np.full((5, 6, 5, 3), "a")), "expected numbers in .*, got <U1"),
    "records": (npy(np.zeros((5, 6, 5), "u1,u1")), "expected numbers in"),
    "complex": (npy(PIXELS.astype(complex)), "expected numbers in .*, got complex128"),
    "times": (npy(PIXELS.astype("M8[s]")), "expected numbers in .*, got datetime64"),
    "one number": (npy(np.array(3)), rf"{SHAPE}\[\]"),
    "a row": (npy(np.zeros(5)), rf"{SHAPE}\[5\]"),
    "one picture": (npy(np.zeros((6, 5))), rf"{SHAPE}\[6, 5\]"),
    "clips": (npy(np.zeros((2, 2, 3, 6, 5))), rf"{SHAPE}\[2, 2, 3, 6, 5\]"),
    "no pictures": (npy(PIXELS[:0]), rf"{SHAPE}\[0, 6, 5, 3\]"),
    "no pixels": (npy(PIXELS[:, :0]), rf"{SHAPE}\[5, 0, 5, 3\]"),
    "two channels of three": (npy(np.zeros((5, 7, 7, 5))), "expected 3 channels, got 5"),
    "larger than it is": (header((10**12, 100, 100, 3)), "cut short"),
    "larger than can be": (header((2**40, 2**40, 3)), "cannot be read"),
    "below zero": (header((-1, 6, 5)), "cannot be read|got "),
    "no head": (header("'a'"), "cannot be read"),
    "an unknown type": (header((5, 6, 5), "'|Z9'"), "cannot be read"),
}


@pytest.mark.parametrize("case", NPY)
def test_npy(tmp_path, case):
    content, expected = NPY[case]
    (tmp_path / "x y é.npy").write_bytes(content)
    found = outcome(tmp_path / "x y é.npy")
    check(found, expected, tmp_path / "x y é.npy")


def check(found, expected, path):
    if isinstance(expected, tuple):
        assert found == expected
    else:
        import re

        assert isinstance(found, str) and re.search(expected, found) and str(path) in found, found


NPZ = {
    "plain": (npz(images=npy(PIXELS), labels=npy(np.arange(5))), (5, 5, 0)),
    "notes of another length": (npz(images=npy(PIXELS), time=npy(np.arange(3))), (5, 0, 0)),
    "notes of no number": (npz(images=npy(PIXELS), note=npy(np.full(5, "a"))), (5, 0, 0)),
    "no bytes": (b"", "it is empty"),
    "cut": (npz(images=npy(PIXELS))[:-60], "cannot be read"),
    "an .npy": (npy(PIXELS), "expected named arrays in .*, got one; call it .npy"),
    "text": (b"text", "no file of numpy's"),
    "nothing": (npz(), "expected an array images in .*, got none"),
    "other names": (npz(a=npy(PIXELS), b=npy(PIXELS)), "expected an array images in .*, got a, b; rename one"),
    "objects": (npz(images=npy(np.array([{}], object), allow_pickle=True)), "neither numbers nor text"),
    "a cut array": (npz(images=npy(PIXELS)[:-40]), "cut short|cannot be read"),
    "no array": (npz(images=b"text"), "cannot be read|expected"),
    "larger than the memory": (npz(images=header((10**9, 1000, 1000, 3))), "larger than the memory|cut short"),
    "one number": (npz(images=npy(np.array(3))), rf"{SHAPE}\[\]"),
    "a broken note": (npz(images=npy(PIXELS), note=npy(np.arange(5))[:-4]), "cannot be read"),
}


@pytest.mark.parametrize("case", NPZ)
def test_npz(tmp_path, case):
    content, expected = NPZ[case]
    (tmp_path / "x.npz").write_bytes(content)
    check(outcome(tmp_path / "x.npz"), expected, tmp_path / "x.npz")


def damaged(path):
    content = bytearray(path.read_bytes())
    content[20:60] = bytes(40)
    path.write_bytes(content)


PARQUET = {
    "plain": (lambda p: write_parquet(p, [0, 1, 1]), (3, 3, 0)),
    "no label": (lambda p: write_parquet(p), (5, 0, 0)),
    "no bytes": (lambda p: p.touch(), "expected a parquet file"),
    "text": (lambda p: p.write_text("no parquet file, only text"), "expected a parquet file"),
    "a picture": (lambda p: p.write_bytes(png()), "expected a parquet file"),
    "cut": (lambda p: p.write_bytes(write_parquet(p).read_bytes()[:-20]), "expected a parquet file"),
    "damaged": (lambda p: damaged(write_parquet(p)), "expected a parquet file|got no rows"),
    "no rows": (lambda p: write_parquet(p, rows=0), "got no rows"),
    "no pictures": (lambda p: write_parquet(p, text=["a"], number=[1]), "got text: string, number: int64"),
    "many columns": (lambda p: write_parquet(p, **{f"c{i}": [i] for i in range(9)}), "c8: int64"),
}


@pytest.mark.parametrize("case", PARQUET)
def test_parquet(tmp_path, case):
    write, expected = PARQUET[case]
    pytest.importorskip("pyarrow")
    write(tmp_path / "x.PARQUET")
    check(outcome(tmp_path / "x.PARQUET"), expected, tmp_path / "x.PARQUET")


@pytest.mark.parametrize("place", range(2))
def test_the_broken_one_of_several_parquet_files_is_named(tmp_path, place):
    files = [write_parquet(tmp_path / f"{i}.parquet") for i in range(2)]
    files[place].write_bytes(b"")
    assert f"expected a parquet file, got {files[place]}" in outcome(tmp_path)


def empty(root):
    root.mkdir()


FOLDER = {
    "classes": (lambda r: plant(r, *each("ab")), (8, 8, 0)),
    "deep": (lambda r: plant(r, *each(["a/x y/é", "b"])), (8, 8, 0)),
    "classes called like values": (lambda r: plant(r, *each(["2024", "True", "None"])), (12, 12, 0)),
    "empty": (empty, "expected pictures in .*, got none; it looks for"),
    "empty folders": (lambda r: (r / "a" / "b").mkdir(parents=True), "expected pictures in .*, got none"),
    "text only": (lambda r: plant(r, "a.txt", "b.md"), r"got none \(left out: 2 that are no pictures \(a.txt, b.md\)\)"),
    "hidden only": (lambda r: plant(r, ".a.png"), "got none"),
    "a text called .png": (lambda r: [plant(r, "a.png"), (r / "b.png").write_text("text")], (2, 0, 1)),
    "no bytes": (lambda r: [plant(r, "a.png"), (r / "b.png").touch()], (2, 0, 1)),
    "a .png called .JPG": (lambda r: [plant(r, "a.png"), (r / "a.png").rename(r / "a.JPG")], (1, 0, 0)),
    "a number as picture": (lambda r: [plant(r, "a.png"), np.save(r / "b.npy", np.array(3))], (2, 0, 1)),
    "objects as picture": (
        lambda r: [plant(r, "a.png"), np.save(r / "b.npy", np.array([{}], object), allow_pickle=True)],
        (2, 0, 1),
    ),
    "a link to nothing": (lambda r: [plant(r, "a.png"), (r / "b.png").symlink_to(r / "c")], (1, 0, 0)),
    "a fifo": (lambda r: [plant(r, "a.png"), os.mkfifo(r / "b.png")], (1, 0, 0)),
}


@pytest.mark.parametrize("case", FOLDER)
def test_folder(tmp_path, case):
    plant_it, expected = FOLDER[case]
    plant_it(tmp_path / "my photos (2024) [é]")
    check(outcome(tmp_path / "my photos (2024) [é]"), expected, tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone", "expected a file, a folder or one of .*; see its spelling"),
        ("x" * 300, "File name too long"),
        ("a\0b", "null|spelling"),
        ("x.txt", "expected a file .parquet, .npy, .npz"),
        ("x.txt/y", "Not a directory"),
        ("pipe", "which is neither"),
        ("pipe.npy", "which is neither"),
        ("loop", "symbolic links|spelling"),
    ],
)
def test_paths_that_are_no_data(tmp_path, name, message):
    (tmp_path / "x.txt").touch()
    for pipe in ("pipe", "pipe.npy"):
        os.mkfifo(tmp_path / pipe)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(DataError, match=message):
        data.open(tmp_path / name)


def test_a_path_with_escapes_is_printed_harmlessly(tmp_path):
    name = "\x1b[31mred\x1b[0m\r\n\u202egnp.exe\x07"
    with pytest.raises(DataError) as error:
        data.open(tmp_path / name)
    assert "\\x1b[31mred\\x1b[0m\\r\\n\\u202egnp.exe\\x07" in str(error.value) and str(error.value).isprintable()
    plant(tmp_path / "d", *each(["a", f"b{name}"]), f"{name}.txt")
    described = data.describe(data.open(tmp_path / "d"))
    assert described.isprintable() and "\\x1b[31m" in described


def refuse(monkeypatch, name):
    """Opening a file of that name raises what a user without permission meets."""
    opening = builtins.open

    def open(file, *rest, **options):
        if str(file).endswith(name):
            raise PermissionError(13, "Permission denied", str(file))
        return opening(file, *rest, **options)

    monkeypatch.setattr(builtins, "open", open)


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x_labels.npy"])
def test_an_unreadable_file_of_numbers(tmp_path, monkeypatch, name):
    np.save(tmp_path / "x.npy", PIXELS)
    np.save(tmp_path / "x_labels.npy", np.arange(5))
    write_arrays(tmp_path / "x.npz")
    refuse(monkeypatch, name)
    found = outcome(tmp_path / name.replace("_labels", ""))
    assert f"expected an array in {tmp_path / name}" in found and "Permission denied" in found


def test_an_unreadable_parquet_file(tmp_path, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    path = write_parquet(tmp_path / "x.parquet")

    def refused(*_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(parquet, "ParquetFile", refused)
    assert f"expected a parquet file, got {path}" in outcome(path)


def test_an_unreadable_picture_is_broken(tmp_path, monkeypatch):
    plant(tmp_path, *each("ab"))
    refuse(monkeypatch, "a/1.png")
    assert outcome(tmp_path) == (8, 8, 1)


def test_a_picture_that_vanishes_is_broken(tmp_path):
    source = data.open(plant(tmp_path, *each("ab")), memory=0)
    (tmp_path / "a" / "2.png").unlink()
    with pytest.raises(data.Unreadable, match="No such file"):
        source[2]
    assert not is_broken(source, 1)


def test_a_file_of_numbers_that_is_cut_short_later(tmp_path):
    import pickle

    np.save(tmp_path / "x.npy", PIXELS)
    sent = pickle.dumps(data.open(tmp_path / "x.npy"))
    (tmp_path / "x.npy").write_bytes(npy(PIXELS)[:-40])
    with pytest.raises(DataError, match="it is cut short"):
        pickle.loads(sent)


def test_a_read_only_folder_is_read(tmp_path):
    plant(tmp_path / "x", *each("ab"))
    for folder in (tmp_path / "x" / "a", tmp_path / "x" / "b", tmp_path / "x"):
        folder.chmod(0o555)
    assert outcome(tmp_path / "x") == (8, 8, 0)
    for folder in (tmp_path / "x", tmp_path / "x" / "a", tmp_path / "x" / "b"):
        folder.chmod(0o755)
