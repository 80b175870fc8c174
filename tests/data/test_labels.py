"""Labels are numbers of any type or words; those of a test set follow the training set's names."""

import numpy as np
import pytest

from pymim import data
from pymim.data.labels import labels
from pymim.errors import DataError
from tests.data.test_videos import write_video
from tests.data.trees import each, names_of_classes, plant, write_arrays, write_parquet

WORDS = ["dog", "cat", "dog", "ant"]
TAKEN = [  # what is given, the numbers, the names
    (WORDS, [2, 1, 2, 0], ["ant", "cat", "dog"]),
    ([3, 0, 1, 0], [3, 0, 1, 0], ["0", "1", "2", "3"]),
    ([2.0, 0.0, 1.0, 0.0], [2, 0, 1, 0], ["0", "1", "2"]),
    ([True, False, True, True], [1, 0, 1, 1], ["0", "1"]),
    ([1, -1, 0, -7], [1, -1, 0, -1], ["0", "1"]),
    ([70_000_000, 5, 2**40, 5], [1, 0, 2, 0], ["5", "70000000", str(2**40)]),
]


@pytest.mark.parametrize(("given", "numbers", "names"), TAKEN)
@pytest.mark.parametrize("write", [write_parquet, write_arrays])
def test_labels_of_any_kind(tmp_path, write, given, numbers, names):
    path = write(
        tmp_path / {write_parquet: "x.parquet", write_arrays: "x.npz"}[write], np.array(given)
    )
    kind = {write_parquet: data.Parquet, write_arrays: data.Array}[write]
    source = kind(path)
    assert (
        source.labels.tolist() == numbers
        and source.classes == names
        and source.labels.dtype == np.int64
    )
    assert source[0].label == numbers[0]


@pytest.mark.parametrize("dtype", ["u1", "i2", "<u4", ">i4", "u8", "f2", "f8"])
def test_labels_of_every_type_of_number(tmp_path, dtype):
    source = data.Array(write_arrays(tmp_path / "x.npz", np.array([3, 1, 1], dtype)))
    assert source.labels.tolist() == [3, 1, 1]


@pytest.mark.parametrize(
    ("make", "numbers", "names"),
    [
        (lambda a: a.array(["b", None, "a", ""]), [1, -1, 0, -1], ["a", "b"]),
        (lambda a: a.array(["b", "a"], a.large_string()), [1, 0], ["a", "b"]),
        (lambda a: a.array([b"b", b"a"], a.large_binary()), [1, 0], ["a", "b"]),
        (lambda a: a.array(["b", "a", None]).dictionary_encode(), [1, 0, -1], ["a", "b"]),
        (lambda a: a.array([1, None, 0]), [1, -1, 0], ["0", "1"]),
        (lambda a: a.array([1, None, 0], a.uint8()), [1, -1, 0], ["0", "1"]),
        (lambda a: a.array([1.0, None, 0.0]), [1, -1, 0], ["0", "1"]),
        (lambda a: a.array([True, None]), [1, -1], ["0", "1"]),
        (lambda a: a.array([[2], [0]]), [2, 0], ["0", "1", "2"]),
        (lambda a: a.array([["b"], ["a"]], a.large_list(a.string())), [1, 0], ["a", "b"]),
    ],
)
def test_columns_of_labels(tmp_path, make, numbers, names):
    source = data.Parquet(
        write_parquet(tmp_path / "x.parquet", make(pytest.importorskip("pyarrow")))
    )
    assert source.labels.tolist() == numbers and source.classes == names


@pytest.mark.parametrize(
    "make", [lambda a: a.nulls(5), lambda a: a.array([None] * 5, a.int64()), lambda a: [-1] * 5]
)
def test_labels_that_are_all_missing_are_none(tmp_path, make):
    write_parquet(tmp_path / "x.parquet", make(pytest.importorskip("pyarrow")))
    source = data.open(tmp_path / "x.parquet")
    assert (
        source.labels is None
        and source.classes is None
        and "without labels" in data.describe(source)
    )


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda a: a.array([[0, 1], [2]]), "list<.*>, several a row"),
        (lambda a: a.array([["a"], None]), "list<.*>, several a row"),
        (lambda a: a.array([0.9, 1.0]), "such as 0.9"),
        (lambda a: a.array([float("inf"), 1.0]), "such as inf"),
        (lambda a: a.array([{"a": 1}, {"a": 2}]), "struct<a: int64>"),
        (lambda a: a.array([0, 1], a.timestamp("ms")), r"timestamp\[ms\]"),
    ],
)
def test_a_column_that_is_no_label_is_named(tmp_path, make, kind):
    path = write_parquet(tmp_path / "x.parquet", make(pytest.importorskip("pyarrow")))
    wanted = f"{path}: column label: expected whole numbers or words, one a row, got .*{kind}"
    with pytest.raises(DataError, match=wanted) as error:
        data.open(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (
            np.array([0.9, 1, 2, 3, 4]),
            "expected whole numbers or words, one a row, got numbers such as 0.9",
        ),
        (np.eye(5), r"expected whole numbers or words, one a row, got an array \[5, 5\]"),
        (np.array([0, 1, 2]), r"expected 5 labels, one for each picture, got \[3\]"),
        (np.array(3), r"expected 5 labels, one for each picture, got \[\]"),
        (np.zeros(5, "M8[s]"), r"expected whole numbers or words, one a row, got datetime64"),
        (np.zeros(5, complex), r"expected whole numbers or words, one a row, got complex128"),
        (np.array([{}, 1, 2, 3, 4], object), "neither numbers nor text"),
    ],
)
@pytest.mark.parametrize("beside", [False, True])
def test_an_array_that_is_no_label_is_named(tmp_path, label, message, beside):
    images = np.zeros((5, 6, 5, 3), np.uint8)
    if beside:
        np.save(tmp_path / "x.npy", images)
        np.save(tmp_path / "x_labels.npy", label)
    else:
        np.savez(tmp_path / "x.npz", images=images, labels=label)
    with pytest.raises(DataError, match=rf"{tmp_path}/x(_labels.npy|.npz/labels).*{message}"):
        data.open(tmp_path / ("x.npy" if beside else "x.npz"))


def test_a_column_of_labels_stands_alone(tmp_path):
    source = data.Array(write_arrays(tmp_path / "x.npz", np.array([[1], [0]])))
    assert source.labels.tolist() == [1, 0]


def test_names_in_the_metadata(tmp_path):
    path = write_parquet(
        tmp_path / "x.parquet", [1, 0, 2], metadata=names_of_classes("z", "a", "m")
    )
    assert data.Parquet(path).classes == ["z", "a", "m"] and data.Parquet(path).labels.tolist() == [
        1,
        0,
        2,
    ]
    for broken in (
        {"huggingface": "{"},
        {"huggingface": "[]"},
        {"huggingface": '{"info": null}'},
        {"x": "y"},
    ):
        assert data.Parquet(write_parquet(path, [1, 0, 2], metadata=broken)).classes == [
            "0",
            "1",
            "2",
        ]
    write_parquet(path, [1, 0, 3], metadata=names_of_classes("z", "a", "m"))
    with pytest.raises(
        DataError, match="expected labels below 3, the number of names in the metadata, got 3"
    ):
        data.Parquet(path)


def test_files_of_one_split_agree_by_name(tmp_path):
    write_parquet(tmp_path / "0.parquet", [0, 1], metadata=names_of_classes("cat", "dog"))
    write_parquet(tmp_path / "1.parquet", [0, 1], metadata=names_of_classes("dog", "cat"))
    write_parquet(tmp_path / "2.parquet", ["dog", "ant"])
    source = data.Parquet(sorted(tmp_path.glob("*.parquet")))
    assert [source.classes[label] for label in source.labels] == [
        "cat",
        "dog",
        "dog",
        "cat",
        "dog",
        "ant",
    ]
    numbers = [write_parquet(tmp_path / "n" / f"{i}.parquet", [i, i]) for i in range(3)]
    assert data.Parquet(numbers).labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert data.Parquet(numbers).classes == ["0", "1", "2"]
    assert [data.Parquet(numbers).path(i) for i in (1, 2)] == [
        f"{numbers[0]}[1]",
        f"{numbers[1]}[0]",
    ]


def folders(root, train, test):
    plant(root, *each([f"train/{name}" for name in train] + [f"test/{name}" for name in test]))


def clips(root, train, test):
    for name in [f"train/{name}" for name in train] + [f"test/{name}" for name in test]:
        write_video(root / name / "0.mp4", 2)


def words(root, train, test):
    write_parquet(root / "train.parquet", list(train))
    write_parquet(root / "test.parquet", list(test))


def metadata(root, train, test):
    """The test set's names in another order."""
    write_parquet(root / "train.parquet", range(len(train)), metadata=names_of_classes(*train))
    write_parquet(
        root / "test.parquet", range(len(test))[::-1], metadata=names_of_classes(*test[::-1])
    )


def arrays(root, train, test):
    write_arrays(root / "train.npz", np.array(train))
    write_arrays(root / "test.npz", np.array(test))


@pytest.mark.parametrize("write", [folders, clips, words, metadata, arrays])
@pytest.mark.parametrize(
    ("test", "numbers", "more"),
    [
        (["bee", "cat"], [1, 2], []),
        (["cat"], [2], []),
        (["ant", "bat", "cat"], [0, 3, 2], ["bat"]),
    ],
)
def test_a_test_set_is_numbered_by_the_training_sets_names(tmp_path, write, test, numbers, more):
    write(tmp_path, ["ant", "bee", "cat"], test)
    held = data.open(tmp_path, "test")
    assert held.classes == ["ant", "bee", "cat", *more]
    assert list(dict.fromkeys(held.labels.tolist())) == numbers
    assert data.open(tmp_path).classes == ["ant", "bee", "cat"]
    if more:
        assert "class without a training picture: bat" in data.describe(held)


@pytest.mark.parametrize("write", [folders, words, metadata, arrays])
def test_a_test_set_of_other_classes_is_refused(tmp_path, write):
    write(tmp_path, ["ant", "bee"], ["Ant", "Bee"])
    with pytest.raises(
        DataError,
        match=r"classes of the training set \(ant, bee\), got only others \((Ant, Bee|Bee, Ant)\)",
    ):
        data.open(tmp_path, "test")


def test_a_flat_test_set_has_no_labels(tmp_path):
    plant(tmp_path, *each(["train/a", "train/b", "test/images"]))
    assert data.open(tmp_path, "test").labels is None


def test_no_rows_have_no_labels():
    assert labels(np.array([], np.int64), "x") is None and labels(np.array([np.nan]), "x") is None
