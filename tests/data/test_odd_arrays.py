"""Damaged files of numbers are refused in one line with their path; nothing is unpickled."""

import io
import pickle
import struct
import zipfile

import numpy as np
import pytest

from pymim import data
from pymim.errors import DataError
from tests.data.outcomes import check, outcome, refuse
from tests.data.trees import png, write_arrays

PIXELS = np.zeros((5, 6, 5, 3), np.uint8)


def npy(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def header(shape, descr="'|u1'"):
    """The head of an .npy file, and nothing behind it."""
    text = (
        f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode()
        + b"\n"
    )
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
    "no .npy": (b"no numbers at all, only text", "not a numpy file"),
    "a picture": (png(), "not a numpy file"),
    "an .npz": (npz(images=npy(PIXELS)), "got several; rename the file to .npz"),
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


NPZ = {
    "plain": (npz(images=npy(PIXELS), labels=npy(np.arange(5))), (5, 5, 0)),
    "notes of another length": (npz(images=npy(PIXELS), time=npy(np.arange(3))), (5, 0, 0)),
    "notes of no number": (npz(images=npy(PIXELS), note=npy(np.full(5, "a"))), (5, 0, 0)),
    "no bytes": (b"", "it is empty"),
    "cut": (npz(images=npy(PIXELS))[:-60], "cannot be read"),
    "an .npy": (npy(PIXELS), "expected named arrays in .*, got one; rename the file to .npy"),
    "text": (b"text", "not a numpy file"),
    "nothing": (npz(), "expected an array images in .*, got none"),
    "other names": (
        npz(a=npy(PIXELS), b=npy(PIXELS)),
        "expected an array images in .*, got a, b; rename the array",
    ),
    "objects": (
        npz(images=npy(np.array([{}], object), allow_pickle=True)),
        "neither numbers nor text",
    ),
    "a cut array": (npz(images=npy(PIXELS)[:-40]), "cut short|cannot be read"),
    "no array": (npz(images=b"text"), "cannot be read|expected"),
    "larger than the memory": (
        npz(images=header((10**9, 1000, 1000, 3))),
        "more than the memory holds|cut short",
    ),
    "one number": (npz(images=npy(np.array(3))), rf"{SHAPE}\[\]"),
    "a broken note": (npz(images=npy(PIXELS), note=npy(np.arange(5))[:-4]), "cannot be read"),
}


@pytest.mark.parametrize("case", NPZ)
def test_npz(tmp_path, case):
    content, expected = NPZ[case]
    (tmp_path / "x.npz").write_bytes(content)
    check(outcome(tmp_path / "x.npz"), expected, tmp_path / "x.npz")


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x_labels.npy"])
def test_an_unreadable_file_of_numbers(tmp_path, monkeypatch, name):
    np.save(tmp_path / "x.npy", PIXELS)
    np.save(tmp_path / "x_labels.npy", np.arange(5))
    write_arrays(tmp_path / "x.npz")
    refuse(monkeypatch, name)
    found = outcome(tmp_path / name.replace("_labels", ""))
    assert f"expected an array in {tmp_path / name}" in found and "Permission denied" in found


def test_a_file_of_numbers_that_is_cut_short_later(tmp_path):
    np.save(tmp_path / "x.npy", PIXELS)
    sent = pickle.dumps(data.open(tmp_path / "x.npy"))
    (tmp_path / "x.npy").write_bytes(npy(PIXELS)[:-40])
    with pytest.raises(DataError, match="it is cut short"):
        pickle.loads(sent)
