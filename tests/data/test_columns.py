"""Which column of a parquet file is trained on, and how class names of several files agree."""

import json

import numpy as np
import pytest
import torch

from pymim import data, views
from pymim.errors import DataError
from tests.data.trees import names_of_classes, png, write_parquet


def column(start, kind="struct"):
    """Five pictures; the first of them is png(start)."""
    pyarrow = pytest.importorskip("pyarrow")
    files = [png(start + i) for i in range(5)]
    if kind == "binary":
        return pyarrow.array(files, pyarrow.binary())
    return pyarrow.array([{"bytes": file, "path": None} for file in files])


def picture(start):
    return data.decode.decode(png(start), 3)


@pytest.mark.parametrize(
    ("kinds", "left"),
    [
        ({"mask": "struct", "image": "struct"}, ["mask"]),
        ({"image": "struct", "mask": "struct"}, ["mask"]),
        ({"depth": "struct", "mask": "struct", "img": "struct"}, ["depth", "mask"]),
        ({"mask": "struct", "image": "binary"}, ["mask"]),
        ({"mask": "binary", "image": "binary"}, []),
        ({"photo": "struct", "content": "binary"}, []),
    ],
)
def test_the_picture_is_trained_on_and_not_its_mask(tmp_path, kinds, left):
    """The one of a usual name, wherever it stands, and that is said."""
    right = next((name for name in kinds if name in ("image", "img", "photo")), None)
    columns = {name: column(7 if name == right else 70, kind) for name, kind in kinds.items()}
    source = data.Parquet(write_parquet(tmp_path / "x.parquet", **columns))
    assert torch.equal(source[0].image, picture(7)) and not torch.equal(
        source[0].image, picture(70)
    )
    said = data.describe(source)
    assert (f"pictures are read from the column {right}" in said) == bool(left)
    assert not left or f", not from {', '.join(left)}" in said


def test_several_columns_without_a_usual_name_are_refused(tmp_path):
    path = write_parquet(tmp_path / "x.parquet", left=column(0), right=column(9))
    with pytest.raises(
        DataError, match=r"one called image, got left, right; rename the one to train on"
    ):
        data.Parquet(path)
    one = write_parquet(tmp_path / "1.parquet", image=column(0))
    two = write_parquet(tmp_path / "2.parquet", img=column(9))
    with pytest.raises(
        DataError,
        match=r"in one column, got image in .*1.parquet and img in .*2.parquet; give both",
    ):
        data.Parquet([one, two])


def listed(*names):
    """The metadata of a column of lists of one label."""
    feature = {"feature": {"names": names, "_type": "ClassLabel"}, "_type": "Sequence"}
    return {"huggingface": json.dumps({"info": {"features": {"label": feature}}})}


@pytest.mark.parametrize("made", [names_of_classes, listed])
def test_files_that_name_the_classes_in_another_order_agree_by_name(tmp_path, made):
    orders = [("cat", "dog", "ant"), ("dog", "cat", "ant"), ("ant", "dog")]
    truth = ["cat", "dog", "ant", "dog", "dog", "ant"]
    for number, names in enumerate(orders):
        some = [names.index(word) for word in truth[2 * number : 2 * number + 2]]
        some = [[one] for one in some] if made is listed else some
        write_parquet(tmp_path / f"train-{number}.parquet", some, metadata=made(*names))
    write_parquet(tmp_path / "test-0.parquet", ["dog", "ant", "cat"])
    train, test = data.open(tmp_path), data.open(tmp_path, "test")
    assert [train.classes[label] for label in train.labels] == truth
    assert test.classes == train.classes and [test.classes[n] for n in test.labels] == [
        "dog",
        "ant",
        "cat",
    ]


def test_numbers_without_names_beside_two_orders_are_refused(tmp_path):
    for number, names in enumerate([("cat", "dog"), ("dog", "cat")]):
        write_parquet(tmp_path / f"{number}.parquet", [0, 1], metadata=names_of_classes(*names))
    files = [tmp_path / "0.parquet", write_parquet(tmp_path / "2.parquet", [0, 1])]
    assert data.Parquet(files).labels.tolist() == [
        0,
        1,
        0,
        1,
    ]  # one order, which is that of the others
    with pytest.raises(
        DataError, match=r"2.parquet: expected names of its classes, as .* differently"
    ):
        data.Parquet([*files, tmp_path / "1.parquet"])


class Own:
    """A source of anybody's."""

    classes = None

    def __init__(self, labels):
        self.labels = labels

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return data.Sample(torch.zeros(1, 8, 8, dtype=torch.uint8), -1)

    def path(self, index):
        return str(index)


@pytest.mark.parametrize("make", [lambda source: source, lambda source: lambda split: source])
def test_labels_of_a_user_s_source_are_whole_numbers(make):
    def loader(labels):
        return data.Loader(
            make(Own(np.array(labels))),
            views.Center(8, statistics="none"),
            4,
            channels=1,
            workers=0,
        )

    for labels in ([0.0, 2.0, 1.0, float("nan")], np.array([0, 2, 1, -1], np.int8)):
        batch = next(loader(labels).batches(0, 1))
        assert batch.label.dtype == torch.int64 and batch.label[batch.index.argsort()].tolist() == [
            0,
            2,
            1,
            -1,
        ]
    with pytest.raises(
        DataError, match=r"Own.labels: expected whole numbers or words, .* such as 0.9"
    ):
        loader([0.9, 0, 1, 2])
    with pytest.raises(
        DataError, match=r"Own.labels: expected whole numbers, one a row, got <U1 \[4\]"
    ):
        loader(list("abca"))
