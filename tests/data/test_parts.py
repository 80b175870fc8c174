"""What a folder is a folder of, which column holds the pictures, and how few are enough."""

import numpy as np
import pytest
import torch

from pymim import data
from pymim.data.about import untested
from pymim.errors import DataError
from tests.data.test_videos import write_video
from tests.data.trees import each, plant, png, write_arrays, write_parquet


@pytest.mark.parametrize(
    ("pictures", "kind"),
    [
        (["a.png", "b.png"], data.Videos),
        (["a_thumb.png", "a-1.png", "a-2.png", "b.thumb.png", "b 1.png", "b 2.png"], data.Videos),
        (["cover.png"], data.Videos),
        (["1.png", "2.png", "3.png"], data.PictureFolder),
        (["abc.png", "bcd.png", "ab.png"], data.PictureFolder),
    ],
)
def test_thumbnails_beside_videos(tmp_path, pictures, kind):
    for name in "ab":
        write_video(tmp_path / f"{name}.mp4", 2)
    source = data.open(plant(tmp_path, *pictures), clip=data.Clip(1, 1), memory=0)
    assert isinstance(source, kind) and len(source) == (2 if kind is data.Videos else len(pictures))
    left = (
        f"{len(pictures)} that are no videos"
        if kind is data.Videos
        else "2 that are no pictures (a.mp4, b.mp4)"
    )
    assert left in data.describe(source)


def test_pictures_at_the_top_of_classes_have_no_class(tmp_path):
    plant(tmp_path, *each("ab"), "stray.png", "z.png")
    train, test = data.open(tmp_path), data.open(tmp_path, "test")
    assert train.classes == ["a", "b"] and train.labels.tolist() == [0] * 4 + [1] * 4 + [-1] * 2
    assert test.labels.tolist() == [
        0,
        1,
    ] and "of 2 classes (4 each, 2 without a class)" in data.describe(train)


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (
            ["0.png", "1.png", "2.png", "3.png", "a/0.png", "b/0.png"],
            "most files are not in one of the 2 folders",
        ),
        (each(["only"]), "all folders are in one, only"),
        (["0.png"], "there are no folders"),
    ],
)
def test_why_there_are_no_classes_is_said(tmp_path, names, why):
    source = data.open(plant(tmp_path, *names))
    assert source.labels is None and f"no classes, as {why}" in data.describe(source)
    assert data.open(tmp_path, "test") is None and untested(source) == "no test set and no labels"


def test_few_pictures_in_a_class_are_said(tmp_path):
    source = data.open(plant(tmp_path / "all", *each("abc", 4)))
    assert source.classes == ["a", "b", "c"] and len(source) == 12
    assert data.open(tmp_path / "all", "test") is None
    assert "fewer than five pictures in each class" in untested(source)
    some = plant(tmp_path / "some", *each("ab"), *each("c", 4))
    assert "of 2 of the 3 classes (1 each)" in data.describe(data.open(some, "test"))
    assert data.open(some).classes == ["a", "b", "c"]


def test_parquet_beside_pictures(tmp_path):
    write_parquet(tmp_path / "hub" / "data" / "train-0.parquet", rows=3)
    assert len(data.open(plant(tmp_path / "hub", "logo.png", "README.md"))) == 3
    write_parquet(tmp_path / "tree" / "meta" / "rows.parquet", text=["x"], n=[1])
    source = data.open(plant(tmp_path / "tree", *each("ab")))
    assert source.classes == [
        "a",
        "b",
    ] and "1 that are no pictures (meta/rows.parquet)" in data.describe(source)
    write_parquet(tmp_path / "top" / "x.parquet", rows=3)
    write_parquet(tmp_path / "top" / "old" / "x.parquet", rows=3)
    source = data.open(tmp_path / "top")
    assert len(source) == 3 and "(old/x.parquet)" in data.describe(source)


def test_numbers_in_a_folder(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((7, 6, 5, 3), np.uint8))
    assert len(data.open(tmp_path)) == 7
    np.save(tmp_path / "y.npy", np.zeros((6, 5, 3), np.uint8))
    np.save(tmp_path / "x.npy", np.zeros((6, 5, 3), np.uint8))
    assert (
        isinstance(data.open(tmp_path, memory=0), data.PictureFolder)
        and len(data.open(tmp_path)) == 2
    )


def columns(a, *names):
    """Columns of pictures as people have them, of levels 0, 1, 2."""
    return {
        "struct": a.array([{"bytes": png(i), "path": None} for i in range(3)]),
        "large": a.array(
            [{"bytes": png(i), "path": "?"} for i in range(3)],
            a.struct({"bytes": a.large_binary(), "path": a.large_string()}),
        ),
        "binary": a.array([png(i) for i in range(3)]),
        "large_binary": a.array([png(i) for i in range(3)], a.large_binary()),
        "single": a.array([[{"bytes": png(i), "path": None}] for i in range(3)]),
        "words": a.array([f"pictures/{i}.png" for i in range(3)]),
        "paths": a.array([{"bytes": None, "path": f"pictures/{i}.png"} for i in range(3)]),
        "mixed": a.array(
            [{"bytes": png(i) if i else None, "path": f"pictures/{i}.png"} for i in range(3)]
        ),
    }


@pytest.mark.parametrize("name", columns(pytest.importorskip("pyarrow")))
def test_columns_of_pictures(tmp_path, name):
    plant(tmp_path / "pictures", "0.png", "1.png", "2.png")
    path = write_parquet(
        tmp_path / "x.parquet", [1, 0, 1], image=columns(pytest.importorskip("pyarrow"))[name]
    )
    source = data.open(path)
    assert [int(source[i].image.max()) for i in range(3)] == [
        0,
        1,
        2,
    ] and source.labels.tolist() == [1, 0, 1]
    assert isinstance(source, data.memory.Memory) and torch.equal(
        source.take(np.array([2]))[0], source[2].image
    )


def test_pictures_are_read_only_below_the_parquet_file(tmp_path):
    a = pytest.importorskip("pyarrow")
    plant(tmp_path, "out.png", "in/0.png")
    (tmp_path / "in" / "x.png").mkdir()
    names = ["0.png", "../out.png", str(tmp_path / "out.png"), "x.png", "gone.png", None]
    rows = [{"bytes": None, "path": name} for name in names]
    source = data.Parquet(write_parquet(tmp_path / "in" / "x.parquet", image=a.array(rows)))
    assert source[0].image.shape == (3, 5, 6)
    for row, reason in zip(
        range(1, 6),
        ["below", "below", "no file", "no file", "expected a picture, got an empty row"],
        strict=True,
    ):
        with pytest.raises(data.Unreadable, match=reason):
            source[row]


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (
            lambda a: a.array([[{"bytes": png(), "path": None}] * 2] * 3),
            "one picture a row, got list<.*>, several",
        ),
        (
            lambda a: a.array(["https://x/0.png"] * 3),
            "names https://x/0.png, which is not there",
        ),
        (lambda a: a.array(["../out.png"] * 3), "names ../out.png, which is not there"),
        (lambda a: a.array([[0, 1]] * 3), "got image: list<.*: int64>"),
        (lambda a: a.array([1, 2, 3]), "got image: int64"),
    ],
)
def test_columns_that_hold_no_pictures_are_named(tmp_path, make, found):
    path = write_parquet(tmp_path / "x.parquet", image=make(pytest.importorskip("pyarrow")))
    with pytest.raises(DataError, match=found) as error:
        data.open(path)
    assert str(path) in str(error.value)


def test_a_broken_row_is_named(tmp_path):
    a = pytest.importorskip("pyarrow")
    rows = [{"bytes": data_, "path": None} for data_ in (png(), b"no picture", b"", None, png())]
    path = write_parquet(tmp_path / "x.parquet", image=a.array(rows))
    source = data.Parquet([path, path])
    with pytest.raises(data.Unreadable) as error:
        source[6]
    assert source.path(6) == f"{path}[1]" and "object at" not in error.value.reason
    for empty in (2, 3):
        with pytest.raises(data.Unreadable, match="expected a picture, got an empty row"):
            source[empty]


def test_a_folder_of_one_array_has_no_test_set(tmp_path):
    write_arrays(tmp_path / "x.npz", count=3)
    assert len(data.open(tmp_path)) == 3 and data.open(tmp_path, "test") is None
