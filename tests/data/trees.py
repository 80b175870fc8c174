"""Write small data sets to disk in one line each: folders of pictures, parquet files, arrays."""

import io
import json

import numpy as np
import pytest
from PIL import Image


def png(number=0, size=(6, 5)):
    """The bytes of a picture of one colour, its level `number`."""
    file = io.BytesIO()
    Image.new("RGB", size, (number,) * 3).save(file, "png")
    return file.getvalue()


def plant(root, *names):
    """Write files: pictures if they end in .png, as bright as their number; else text."""
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(number) if name.endswith(".png") else b"text")
    return root


def each(folders, count=5, suffix=".png"):
    """Names of `count` files in each folder."""
    return [f"{folder}/{number}{suffix}" for folder in folders for number in range(count)]


def write_parquet(path, label=None, rows=5, metadata=None, **columns):
    """Rows of pictures, or other columns; labels where they are given, as pyarrow takes them."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    struct = pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()})
    rows = len(label) if label is not None else rows
    if not columns:
        columns = {
            "image": pyarrow.array(
                [{"bytes": png(i), "path": f"{i}.png"} for i in range(rows)], struct
            )
        }
    if label is not None:
        columns["label"] = label
    table = pyarrow.table(columns)
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table.replace_schema_metadata(metadata), path)
    return path


def names_of_classes(*names, label="label"):
    """The hub's metadata of a column of labels with names."""
    return {
        "huggingface": json.dumps(
            {"info": {"features": {label: {"names": names, "_type": "ClassLabel"}}}}
        )
    }


def write_arrays(path, label=None, count=5):
    """An .npz file of pictures, and labels where they are given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    images = np.zeros((count if label is None else len(label), 6, 5, 3), np.uint8)
    np.savez(path, images=images, **({} if label is None else {"labels": label}))
    return path
