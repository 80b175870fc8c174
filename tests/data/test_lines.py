"""The two lines that a run begins with, and that what they name is harmless to print."""

import logging
from types import SimpleNamespace

import numpy as np
import pytest

from pymim import data
from pymim.data.lines import evaluates_on, trains_on
from pymim.data.opener import Opener
from pymim.data.source import subset
from pymim.errors import ConfigError, DataError, printable
from tests.data.trees import each, plant, write_parquet


def both(path):
    source = data.open(path)
    evaluation = SimpleNamespace(opener=Opener(path))
    return trains_on(source), evaluates_on(source, evaluation)


def test_the_test_set_is_opened_once_to_be_described_and_used():
    opened = []
    opener = Opener(lambda split: opened.append(split) or data.Digits(split))
    shown = opener.show()
    assert opener.open("train") is not shown and opener.open("test") is shown
    assert opened == ["test", "train"]
    assert opener.open("test") is not shown and opened == ["test", "train", "test"]


def test_folders_of_pictures_are_described(tmp_path):
    plant(
        tmp_path,
        *each(["train/cat", "train/dog"], 6),
        *each(["test/cat"], 3),
        "train/readme.txt",
        "test/x.txt",
    )
    train, test = both(tmp_path)
    assert train == (
        f"trains on 12 pictures of 2 classes (6 each) in 12 files of {tmp_path}/train; "
        "left out: 1 that are no pictures (train/readme.txt)"
    )
    assert test == (
        f"evaluates on 3 pictures of 1 of the 2 classes (3 each) in 3 files of {tmp_path}/test "
        "(cat/0.png, cat/1.png, cat/2.png); left out: 1 that are no pictures (test/x.txt)"
    )


def test_held_out_pictures_are_described(tmp_path):
    plant(tmp_path, *each(["cat", "dog"], 10))
    train, test = both(tmp_path)
    assert train.startswith("trains on 16 pictures of 2 classes (8 each) in 20 files of ")
    assert train.endswith("; every fifth of each class is held out, as there is no test set")
    assert test.startswith("evaluates on 4 pictures of 2 classes (2 each) in 20 files of ")
    assert test.endswith("; these are every fifth of each class, as there is no test set")


def test_parquet_files_are_described(tmp_path):
    for name in (
        "train-00000-of-00002",
        "train-00001-of-00002",
        "test-00000-of-00001",
        "extra-00000-of-00001",
    ):
        write_parquet(tmp_path / f"{name}.parquet", [0, 1, 1])
    (tmp_path / "README.md").touch()
    train, test = both(tmp_path)
    assert train == (
        f"trains on 6 pictures of 2 classes (2 to 4 each) in 2 files of {tmp_path} "
        "(train-00000-of-00002.parquet, train-00001-of-00002.parquet); left out: 1 of another kind "
        "or place, or of no split (README.md), 1 of the split extra "
        "(extra-00000-of-00001.parquet)"
    )
    assert test == (
        "evaluates on 3 pictures of 2 classes (1 to 2 each) in "
        f"{tmp_path}/test-00000-of-00001.parquet"
    )


def test_a_missing_test_set_is_described(tmp_path):
    plant(tmp_path, "0.png", "1.png")
    train, test = both(tmp_path)
    assert (
        "2 pictures without labels in 2 files" in train
        and "no classes, as there are no folders" in train
    )
    assert test == "evaluates on nothing: no test set and no labels"
    assert evaluates_on(data.open(tmp_path), None).startswith(
        "evaluates on nothing: no train.Trainer.evaluate"
    )
    assert evaluates_on(data.open(tmp_path), SimpleNamespace()) == "evaluates by SimpleNamespace"


def test_embedded_data_are_described():
    train, test = both("digits")
    assert train.startswith("trains on 50,000 pictures of 10 classes (") and " in " not in train
    assert test.startswith("evaluates on 10,000 pictures of 10 classes (")


def test_an_array_and_a_part_of_it_are_described(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((30, 4, 4, 3), np.uint8))
    np.save(tmp_path / "x_labels.npy", np.arange(30) % 4)
    source = subset(data.Array(tmp_path / "x.npy"), np.arange(9))
    assert data.describe(source) == f"9 pictures of 4 classes (2 to 3 each) in {tmp_path}/x.npy"


def test_every_message_is_printable():
    name = "a\x1b[2J\x9b31m\r\nb\u202e\ud800\tc"
    assert printable(name) == r"a\x1b[2J\x9b31m\r\nb\u202e\ud800\tc"
    for kept in ("é ü ß 漢字 \u00a0 \u3000 😀", r"C:\x"):
        assert printable(kept) == kept
    for kind in (DataError, ConfigError):
        assert str(kind(f"x: {name}")) == f"x: {printable(name)}"


def test_the_log_is_printable(caplog):
    with caplog.at_level(logging.WARNING, "pymim.data"):
        logging.getLogger("pymim.data").warning("skipped %s: %s", "\x1b[2J.png", "no picture")
    assert caplog.messages == ["skipped \\x1b[2J.png: no picture"]


@pytest.mark.parametrize("name", ["\x1b[31m.png", "b\r.png"])
def test_a_broken_picture_is_named_harmlessly(tmp_path, name, caplog):
    plant(tmp_path, "0.png", "1.png", "2.png")
    (tmp_path / name).touch()
    loader = data.Loader(
        tmp_path, lambda images, *_: images[0][None].expand(4, -1, -1, -1), batch=4, workers=0
    )
    next(loader.batches(0, 1))
    assert "skipped" in caplog.text and name not in caplog.text
