"""Files as they should not be: each is said in one line with its path, or counted as broken."""

import os

import numpy as np
import pytest

from pymim import data
from pymim.errors import DataError
from tests.data.outcomes import check, is_broken, outcome, refuse
from tests.data.trees import each, plant, png, write_parquet


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
    "cut": (
        lambda p: p.write_bytes(write_parquet(p).read_bytes()[:-20]),
        "expected a parquet file",
    ),
    "damaged": (lambda p: damaged(write_parquet(p)), "expected a parquet file|got no rows"),
    "no rows": (lambda p: write_parquet(p, rows=0), "got no rows"),
    "no pictures": (
        lambda p: write_parquet(p, text=["a"], number=[1]),
        "got text: string, number: int64",
    ),
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
    "classes called like values": (
        lambda r: plant(r, *each(["2024", "True", "None"])),
        (12, 12, 0),
    ),
    "empty": (empty, "expected pictures in .*, got none; add files of the types"),
    "empty folders": (
        lambda r: (r / "a" / "b").mkdir(parents=True),
        "expected pictures in .*, got none",
    ),
    "text only": (
        lambda r: plant(r, "a.txt", "b.md"),
        r"got none \(left out: 2 that are no pictures \(a.txt, b.md\)\)",
    ),
    "hidden only": (lambda r: plant(r, ".a.png"), "got none"),
    "a text called .png": (
        lambda r: [plant(r, "a.png"), (r / "b.png").write_text("text")],
        (2, 0, 1),
    ),
    "no bytes": (lambda r: [plant(r, "a.png"), (r / "b.png").touch()], (2, 0, 1)),
    "a .png called .JPG": (
        lambda r: [plant(r, "a.png"), (r / "a.png").rename(r / "a.JPG")],
        (1, 0, 0),
    ),
    "a number as picture": (
        lambda r: [plant(r, "a.png"), np.save(r / "b.npy", np.array(3))],
        (2, 0, 1),
    ),
    "objects as picture": (
        lambda r: [
            plant(r, "a.png"),
            np.save(r / "b.npy", np.array([{}], object), allow_pickle=True),
        ],
        (2, 0, 1),
    ),
    "a link to nothing": (
        lambda r: [plant(r, "a.png"), (r / "b.png").symlink_to(r / "c")],
        (1, 0, 0),
    ),
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
        ("gone", "expected a file, a folder or one of .*; check the spelling"),
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
    assert (
        "\\x1b[31mred\\x1b[0m\\r\\n\\u202egnp.exe\\x07" in str(error.value)
        and str(error.value).isprintable()
    )
    plant(tmp_path / "d", *each(["a", f"b{name}"]), f"{name}.txt")
    described = data.describe(data.open(tmp_path / "d"))
    assert described.isprintable() and "\\x1b[31m" in described


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


def test_a_read_only_folder_is_read(tmp_path):
    plant(tmp_path / "x", *each("ab"))
    for folder in (tmp_path / "x" / "a", tmp_path / "x" / "b", tmp_path / "x"):
        folder.chmod(0o555)
    assert outcome(tmp_path / "x") == (8, 8, 0)
    for folder in (tmp_path / "x", tmp_path / "x" / "a", tmp_path / "x" / "b"):
        folder.chmod(0o755)
