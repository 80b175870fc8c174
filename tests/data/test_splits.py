"""Which files are trained on, and which are for testing."""

import numpy as np
import pytest

from pymim import data
from pymim.data.splits import beside, by_shards
from pymim.errors import DataError
from tests.data.trees import each, plant, write_arrays, write_parquet


def paths(source):
    return sorted(source.path(i) for i in range(len(source))) if source else None


def tops(source, root):
    return {path.removeprefix(f"{root}/").rpartition("/")[0] for path in paths(source)}


@pytest.mark.parametrize(
    ("folders", "train", "test"),
    [
        (["Train", "Test"], ["Train"], ["Test"]),
        (["TRAIN", "VAL"], ["TRAIN"], ["VAL"]),
        (["training", "testing"], ["training"], ["testing"]),
        (["training", "validation"], ["training"], ["validation"]),
        (["train", "val", "test"], ["train"], ["test"]),
        (["train2017", "val2017"], ["train2017"], ["val2017"]),
        (["seg_train", "seg_test", "seg_pred"], ["seg_train"], ["seg_test"]),
        (["trainset", "testset"], ["trainset"], ["testset"]),
        (["x/images/train", "x/images/dev"], ["x/images/train"], ["x/images/dev"]),
        (["train", "eval", "annotations"], ["train"], ["eval"]),
    ],
)
@pytest.mark.parametrize("classes", [["cat", "dog"], None])
def test_folders_of_splits(tmp_path, folders, train, test, classes):
    inner = [f"{folder}/{name}" for folder in folders for name in classes] if classes else folders
    plant(tmp_path, *each(inner))
    for split, expected in (("train", train), ("test", test)):
        source = data.open(tmp_path, split)
        assert source.classes == classes and len(source) == 5 * len(classes or "1")
        assert {path.split("/cat")[0].split("/dog")[0] for path in tops(source, tmp_path)} == set(
            expected
        )


@pytest.mark.parametrize(
    "classes",
    [
        ["car", "plane", "train"],
        ["Train", "bus"],
        ["bullet train", "test tube"],
        ["train_station", "valley"],
        ["dev", "test", "x"],
        ["cat", "test"],
    ],
)
def test_a_class_may_be_called_like_a_split(tmp_path, classes):
    plant(tmp_path, *each(classes))
    train, test = data.open(tmp_path), data.open(tmp_path, "test")
    assert train.classes == test.classes == sorted(classes)
    assert len(train) == 4 * len(classes) and len(test) == len(classes)
    assert not set(paths(train)) & set(paths(test))


@pytest.mark.parametrize("name", ["train", "Training", "TRAIN"])
def test_training_pictures_may_stand_alone(tmp_path, name):
    plant(tmp_path, *each([f"{name}/a", f"{name}/b"]), "readme.txt", "logo.png")
    train, test = data.open(tmp_path), data.open(tmp_path, "test")
    assert train.classes == ["a", "b"] and len(train) == 8 and len(test) == 2
    described = data.describe(train)
    assert (
        "1 beside the splits (logo.png)" in described
        and "1 that are no pictures (readme.txt)" in described
    )


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (
            ["train", "training", "test"],
            "expected one folder of the train split in .*, got train, training",
        ),
        (
            ["a", "b", "test/a", "test/b"],
            "expected test beside a folder of another split in .*beside a, b",
        ),
        (["a", "b", "train/a", "train/b"], "expected train beside a folder of another split"),
    ],
)
def test_folders_that_could_be_either_are_refused(tmp_path, folders, message):
    plant(tmp_path, *each(folders))
    with pytest.raises(DataError, match=message):
        data.open(tmp_path)


def test_pictures_whose_own_names_say_their_split(tmp_path):
    flat = plant(tmp_path / "flat", "a_train_0.png", "a_train_1.png", "COCO_val2014_7.png")
    assert [path.split("/")[-1] for path in paths(data.open(flat))] == [
        "a_train_0.png",
        "a_train_1.png",
    ]
    assert len(data.open(flat, "test")) == 1
    nested = plant(
        tmp_path / "nested", *each(["cat/train", "cat/test", "dog/train", "dog/test"], 3)
    )
    for split in ("train", "test"):
        source = data.open(nested, split)
        assert source.classes == ["cat", "dog"] and len(source) == 6
        assert tops(source, nested) == {f"cat/{split}", f"dog/{split}"}
    partly = plant(tmp_path / "partly", "train_0.png", "test_1.png", "holiday.png")
    assert len(data.open(partly)) == 3 and data.open(partly, "test") is None


SHARDED = [
    (["train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001"], 2, 1),
    (["data/train-00000-of-00001-0a1b2c3d4e5f6071", "data/test-00000-of-00001-90ab"], 1, 1),
    (["x_train", "x_validation"], 1, 1),
    (["Train.0", "Train.1", "Dev.0"], 2, 1),
    (["train-0", "validation-0", "test-0"], 1, 1),
    (["train-00000-of-00001", "test-00000-of-00001", "extra-00000-of-00001"], 1, 1),
    (["default/train/0000", "default/train/0001", "default/test/0000"], 2, 1),
    (["train/0", "test/0", "test/1"], 1, 2),
    (["0000", "0001"], 2, None),
    (["train-0", "train-1"], 2, None),
    (["latest", "contest"], 2, None),
    (["2023/part", "2024/part"], 2, None),
    (["my-dev-set-train-0", "my-dev-set-test-0"], 1, 1),
]


@pytest.mark.parametrize(("names", "train", "test"), SHARDED)
def test_parquet_files_of_splits(tmp_path, names, train, test):
    for number, name in enumerate(names):
        write_parquet(tmp_path / f"{name}.parquet", rows=3 + number)
    source, held = data.open(tmp_path), data.open(tmp_path, "test")
    rows = {name: 3 + number for number, name in enumerate(names)}
    assert len({path.partition("[")[0] for path in paths(source)}) == train
    assert (held and len({path.partition("[")[0] for path in paths(held)})) == test
    of_train = [rows[name] for name in names if "train" in name.lower()] if test else rows.values()
    assert len(source) == sum(of_train)
    if test:
        assert not set(paths(source)) & set(paths(held))


@pytest.mark.parametrize("suffix", ["npz", "npy"])
@pytest.mark.parametrize("names", [("train", "test"), ("x_Train", "x_Val"), ("train/x", "test/x")])
def test_arrays_of_splits(tmp_path, suffix, names):
    for number, name in enumerate(names):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        images, label = np.full((4 + number, 6, 5, 3), number, np.uint8), np.arange(4 + number) % 3
        if suffix == "npz":
            np.savez(tmp_path / f"{name}.npz", images=images, labels=label)
        else:
            np.save(tmp_path / f"{name}.npy", images)
            np.save(tmp_path / f"{name}_labels.npy", label)
    train, test = data.open(tmp_path), data.open(tmp_path, "test")
    assert (len(train), len(test)) == (4, 5) and int(test[0].image.max()) == 1
    assert test.labels.tolist() == [0, 1, 2, 0, 1]
    if "/" not in names[0]:
        assert len(data.open(tmp_path / f"{names[0]}.{suffix}", "test")) == 5


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["a/train-0", "a/test-0", "b/train-0", "b/test-0"],
            "files of one configuration, got 2: a/, b/;",
        ),
        (
            ["cifar10_train", "cifar10_test", "cifar100_train", "cifar100_test"],
            "got 2: cifar100_, cifar10_;",
        ),
        (["validation-0", "test-0"], "expected a training file beside"),
    ],
)
def test_several_configurations_are_refused(tmp_path, names, message):
    for name in names:
        write_parquet(tmp_path / f"{name}.parquet")
    with pytest.raises(DataError, match=message):
        data.open(tmp_path)


def test_several_arrays_of_one_split_are_refused(tmp_path):
    write_arrays(tmp_path / "a.npz")
    write_arrays(tmp_path / "b.npz")
    with pytest.raises(
        DataError, match=r"expected one file for each split in .*, got a.npz, b.npz"
    ):
        data.open(tmp_path)


@pytest.mark.parametrize(
    ("name", "others", "expected"),
    [
        ("x_train.npz", ["x_test.npz", "y_test.npz"], {"test": ["x_test.npz"]}),
        ("trainset.npz", ["testset.npz"], {"test": ["testset.npz"]}),
        ("Train.npz", ["TEST.npz", "val.npz"], {"test": ["TEST.npz"], "validation": ["val.npz"]}),
        (
            "train-00000-of-00002.parquet",
            ["train-00001-of-00002.parquet", "test-00000-of-00001.parquet"],
            {"test": ["test-00000-of-00001.parquet"]},
        ),
        ("x_test.npz", ["x_train.npz"], {}),
        ("constrained.npz", ["contested.npz"], {}),
        ("pictures.npz", ["test.npz"], {}),
    ],
)
def test_files_beside_a_training_file(name, others, expected):
    assert beside(name, others) == expected


def test_unnamed_files_are_of_no_split():
    assert by_shards(["train.parquet", "test.parquet", "more.parquet"]) == {
        "train": ["train.parquet"],
        "test": ["test.parquet"],
    }


def test_the_held_out_split_with_labels_is_evaluated_on(tmp_path):
    plant(tmp_path, *each(["train/a", "train/b", "val/a", "val/b", "test"], 2))
    assert tops(data.open(tmp_path, "test"), tmp_path) == {"val/a", "val/b"}
    assert "10 of the split test" not in data.describe(data.open(tmp_path, "test"))
    assert "2 of the split test (0.png, 1.png)" in data.describe(data.open(tmp_path))
    for split, label in (("train", [0, 1]), ("validation", [1, 0]), ("test", [-1, -1])):
        write_parquet(tmp_path / "p" / f"{split}-0.parquet", label)
    assert "validation" in data.open(tmp_path / "p", "test").path(0)
