"""Whatever DATA points at."""

import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pymim import data, views
from pymim.data import opening
from pymim.data.memory import Memory
from pymim.data.statistics import main, statistics
from pymim.errors import DataError

SHARED = Path(os.environ.get("PYMIM_DATA", Path(__file__).parents[2].parent / "shared" / "data"))


def picture(number, size=(48, 40), mode="RGB"):
    bands = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], bands), np.uint8)
    return Image.fromarray(pixels.squeeze() if bands == 1 else pixels, mode=None)


@pytest.fixture
def flat(tmp_path):
    """Eight JPEGs of several sizes."""
    for number in range(8):
        picture(number, (40 + number, 48)).save(tmp_path / f"{number}.jpg")
    return tmp_path


def first_batch(source, size=16, **arguments):
    statistic = "half"
    loader = data.Loader(source, views.Pretrain(size, statistics=statistic), batch=8, **arguments)
    return next(loader.batches(0, 1)), loader


def test_a_flat_folder_has_no_labels(flat):
    source = data.open(flat)
    assert len(source) == 8 and source.classes is None and data.open(flat, "test") is None
    batch, _ = first_batch(flat, workers=0)
    assert batch.views[0].shape == (8, 3, 16, 16) and batch.label.tolist() == [-1] * 8
    assert sorted(batch.index.tolist()) == list(range(8))


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_files_give_the_same_batches_with_any_number_of_workers(flat):
    alone, _ = first_batch(flat, workers=0)
    for workers in (1, 4):
        assert torch.equal(first_batch(flat, workers=workers)[0].views[0], alone.views[0])


def test_class_folders_give_labels_and_a_test_set(tmp_path):
    for name in ("cat", "dog"):
        for number in range(5):
            (tmp_path / name / "deeper").mkdir(parents=True, exist_ok=True)
            picture(number).save(tmp_path / name / "deeper" / f"{number}.png")
    train, test = data.open(tmp_path), data.open(tmp_path, "test")
    assert train.classes == ["cat", "dog"] and train.labels.tolist() == [0] * 4 + [1] * 4
    assert test.labels.tolist() == [0, 1] and test[1].label == 1
    assert not {train.path(i) for i in range(8)} & {test.path(i) for i in range(2)}


def test_train_and_test_folders_are_found(tmp_path):
    for split, count in (("train", 3), ("val", 2)):
        for number in range(count):
            (tmp_path / split / str(number)).mkdir(parents=True)
            picture(number).save(tmp_path / split / str(number) / "x.bmp")
    assert len(data.open(tmp_path)) == 3 and len(data.open(tmp_path, "test")) == 2


def test_a_broken_picture_is_replaced_and_listed(flat, caplog):
    (flat / "3.jpg").write_bytes(b"no picture")
    (flat / "4.jpg").write_bytes((flat / "4.jpg").read_bytes()[:200])
    batch, loader = first_batch(flat, workers=0, tolerate=0.25)
    assert {Path(path).name for path in loader.broken} == {"3.jpg", "4.jpg"}
    assert sorted(batch.index.tolist()) == [0, 1, 2, 5, 5, 5, 6, 7]
    assert "skipped" in caplog.text
    assert torch.equal(first_batch(flat, workers=1, tolerate=0.25)[0].views[0], batch.views[0])


@pytest.mark.parametrize("workers", [0, 1])
def test_too_many_broken_pictures_stop_the_run(flat, workers):
    for number in range(4):
        (flat / f"{number}.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match="expected at most 2 broken of 8 pictures"):
        first_batch(flat, workers=workers, tolerate=0.25)


def test_a_broken_picture_in_memory_is_replaced(tmp_path):
    for number in range(8):
        picture(number).save(tmp_path / f"{number}.png")
    (tmp_path / "2.png").write_bytes(b"")
    batch, loader = first_batch(tmp_path)
    assert isinstance(loader.source, Memory)
    assert sorted(batch.index.tolist()) == [0, 1, 3, 3, 4, 5, 6, 7] and len(loader.broken) == 1


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(
        DataError, match=r"PictureFolder: path: expected pictures in .*, got none"
    ) as error:
        data.open(tmp_path)
    assert error.value.exit_code == 4


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "expected a file, a folder or one of digits"),
        ("x.txt", "expected a file .parquet"),
    ],
)
def test_what_is_no_data_is_an_error(tmp_path, name, message):
    (tmp_path / "x.txt").touch()
    with pytest.raises(DataError, match=message):
        data.open(tmp_path / name)


def test_a_mistyped_split_is_an_error():
    with pytest.raises(ValueError, match=r"data.open: split: expected train or test"):
        data.open("digits", "tset")


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_of_any_mode(tmp_path, mode, channels):
    image = picture(0, mode=mode)
    image.save(tmp_path / "x.png")
    read = data.PictureFolder(tmp_path, channels)[0].image
    expected = np.asarray(image.convert({1: "L", 3: "RGB"}[channels])).reshape(40, 48, channels)
    assert read.dtype == torch.uint8 and np.array_equal(read.permute(1, 2, 0), expected)


def test_sixteen_bits_are_kept(tmp_path):
    levels = np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000
    Image.fromarray(levels).save(tmp_path / "x.png")
    read = data.PictureFolder(tmp_path, 1)[0].image
    assert torch.allclose(
        read, torch.from_numpy(levels.astype(np.float32) / 65535)[None], atol=1e-7
    )


@pytest.mark.parametrize("layout", [(0, 1, 2), (1, 2, 0)])
def test_twelve_channels(tmp_path, layout):
    pixels = np.random.default_rng(0).integers(0, 256, (12, 20, 24), np.uint8)
    np.save(tmp_path / "x.npy", pixels.transpose(layout))
    assert np.array_equal(data.PictureFolder(tmp_path, 12)[0].image, pixels)
    with pytest.raises(data.Unreadable, match="expected 3 channels, got 12; set CHANNELS=12"):
        data.PictureFolder(tmp_path, 3)[0]
    batch, _ = first_batch(data.PictureFolder(tmp_path, 12), workers=0)
    assert batch.views[0].shape == (8, 12, 16, 16)


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_arrays(tmp_path, suffix):
    pixels = np.random.default_rng(0).random((20, 16, 18, 12)).astype(np.float32)
    label = np.arange(20) % 2
    if suffix == "npy":
        np.save(tmp_path / "a.npy", pixels)
        np.save(tmp_path / "a_labels.npy", label)
    else:
        np.savez(tmp_path / "a.npz", images=pixels, labels=label)
    source = pickle.loads(pickle.dumps(data.open(tmp_path / f"a.{suffix}", channels=12)))
    assert source.classes == ["0", "1"] and len(source) == 16
    assert np.array_equal(source.take(np.array([3, 1]))[1], pixels[1].transpose(2, 0, 1))
    assert np.array_equal(source[1].image, source.take(np.array([1]))[0])
    with pytest.raises(DataError, match="expected 3 channels, got 12"):
        data.open(tmp_path / f"a.{suffix}")


def write_parquet(path, pictures, label=None, **columns):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = []
    for image in pictures:
        file = io.BytesIO()
        image.save(file, "png")
        rows.append({"bytes": file.getvalue(), "path": None})
    columns = {
        "image": pyarrow.array(
            rows, pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()})
        )
    }
    parquet.write_table(pyarrow.table(columns | ({} if label is None else {"label": label})), path)


def test_parquet_and_the_test_file_beside_it(tmp_path):
    pictures = [picture(number) for number in range(6)]
    write_parquet(tmp_path / "x_train.parquet", pictures, [0, 1, 2] * 2)
    write_parquet(tmp_path / "x_test.parquet", pictures[:2], [2, 1])
    train, test = (data.open(tmp_path / "x_train.parquet", split) for split in ("train", "test"))
    assert len(train) == 6 and test.labels.tolist() == [2, 1] and train.classes == ["0", "1", "2"]
    assert np.array_equal(train.take(np.array([4]))[0].permute(1, 2, 0), pictures[4])
    batch, _ = first_batch(pickle.loads(pickle.dumps(train)))
    assert batch.views[0].shape == (8, 3, 16, 16)


def test_a_parquet_file_without_pictures_is_an_error(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"text": ["a"]}), tmp_path / "x.parquet")
    with pytest.raises(DataError, match=r"expected a column struct<bytes, path> in .*, got text"):
        data.open(tmp_path / "x.parquet")
    (tmp_path / "y.parquet").write_bytes(b"x")
    with pytest.raises(DataError, match="expected a parquet file"):
        data.open(tmp_path / "y.parquet")


def test_digits_are_the_same_every_time_and_split():
    train, test = data.open("digits"), data.open("digits", "test")
    assert (
        len(train) == 50_000
        and len(test) == 10_000
        and train.classes == [str(d) for d in range(10)]
    )
    assert not set(train.ids.tolist()) & set(test.ids.tolist())
    some = np.array([5, 40_000, 5])
    taken = train.take(some)
    assert (
        taken.shape == (3, 3, 32, 32)
        and taken.dtype == torch.uint8
        and torch.equal(taken[0], taken[2])
    )
    assert torch.equal(data.Digits()[40_000].image, taken[1]) and train.labels[5] == train[5].label
    assert not torch.equal(data.Digits(seed=1)[5].image, taken[0])
    assert np.bincount(train.labels).min() > 4000


@pytest.mark.parametrize("background", ["black", "plain", "photo"])
def test_digits_stand_out(background):
    digits = data.Digits(background=background, length=64).take(np.arange(64)).float()
    empty = data.Digits(background=background, length=64, contrast=0)
    assert digits.mean(1).flatten(1).std(1).min() > 4 and len(empty) == 64
    with pytest.raises(ValueError, match="Digits: background: expected one of black"):
        data.Digits(background="blue")


def test_statistics_are_those_of_all_pixels(tmp_path, capsys):
    pixels = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 4), np.uint8)
    np.save(tmp_path / "a.npy", pixels)
    mean, std = statistics(data.Array(tmp_path / "a.npy", 4))
    np.testing.assert_allclose(mean, pixels.mean((0, 1, 2)) / 255, rtol=1e-3)
    np.testing.assert_allclose(std, pixels.std((0, 1, 2)) / 255, rtol=1e-3)
    assert (
        main([str(tmp_path / "a.npy"), "4"]) == 0 and "STATISTICS = ((" in capsys.readouterr().out
    )
    assert main([str(tmp_path / "b")]) == 4


def test_data_are_normalised_by_their_own_statistics(tmp_path):
    for name in opening.NAMES:
        assert data.measured(name) == name
        views.Normalise(name)
    with pytest.raises(
        ValueError, match=r"expected one of none, half.*, got None; leave STATISTICS unset"
    ):
        views.Normalise(None)
    pixels = np.random.default_rng(0).normal(100, 20, (60, 5, 8, 8)) + np.arange(5)[:, None, None]
    np.save(tmp_path / "cells.npy", pixels.astype(np.uint16))
    normalise = views.Normalise(data.measured(str(tmp_path / "cells.npy"), 5))
    images = normalise(
        data.load(data.Array(tmp_path / "cells.npy", 5), lambda x, *_: x.float(), 60)[0]
    )
    np.testing.assert_allclose(images.mean((0, 2, 3)), 0, atol=0.1)
    np.testing.assert_allclose(images.std((0, 2, 3)), 1, atol=0.1)


@pytest.mark.skipif(not (SHARED / "cifar10_test.parquet").exists(), reason="no CIFAR-10")
def test_cifar():
    pytest.importorskip("pyarrow")
    test = data.open(SHARED / "cifar10_train.parquet", "test")
    assert len(test) == 10_000 and test.classes[0] == "airplane" and isinstance(test, Memory)
    assert np.bincount(test.labels).tolist() == [1000] * 10
    assert torch.equal(test.take(np.array([7]))[0], test[7].image)
