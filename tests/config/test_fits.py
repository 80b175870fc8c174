"""Which literals fit which annotations, and what two configurations say differently."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from pymim import config
from pymim.config.fits import fits, in_words

FIT = [
    (int, [3, -1], [True, 1.0, "3", None, (3,)]),
    (float, [3, 0.5], [True, "x", None]),
    (bool, [True], [1, 0, "True"]),
    (str | None, ["x", None], [3, True, ("x",)]),
    (Path, ["x"], [3]),
    (Literal["a", 1], ["a", 1], ["b", True, 2]),
    (float | Callable[[int], float], [0.5], ["x", None, (0.5,)]),
    (int | tuple[int, ...], [4, (4, 8), [4, 8], ()], [4.0, (4, "x"), {"a": 4}]),
    (tuple[float, float | None], [(16, None), [1, 2.5]], [(16,), (1, 2, 3), (None, 1)]),
    (Sequence[Sequence[float]], [((0.5,), (0.2,))], [(0.5, 0.2), 0.5]),
    (dict[str, float], [{"x": 1}], [("x", 1), {"x": "y"}]),
    (Any, [3, "x", None, (1,)], []),
]


@pytest.mark.parametrize(("annotation", "right", "wrong"), FIT, ids=lambda each: str(each)[:30])
def test_a_literal_fits_its_annotation(annotation, right, wrong):
    assert [value for value in right if not fits(value, annotation)] == []
    assert [value for value in wrong if fits(value, annotation)] == []


def test_an_unknown_part_of_a_value_fits():
    assert fits((1, "?"), tuple[int, ...], lambda part: part == "?")
    assert not fits((1, "!"), tuple[int, ...], lambda part: part == "?")


def test_an_annotation_is_written_in_words():
    assert in_words(int | tuple[int, ...] | None) == "int or a tuple of int or None"
    assert in_words(Literal["a", "b"]) == "'a', 'b'"
    assert in_words(tuple[float, float]) == "a tuple of 2"


def test_two_configurations_differ_by_name_macros_first():
    before = config.load(["gin/mae.gin"], ["DATA=" + "long words " * 20])
    now = config.load(
        ["gin/mae.gin"], ["DIM=24", "optim.AdamW.rate=1e-3", "DATA=" + "long words " * 20]
    )
    assert config.changed(before, now) == [
        "DIM = 24, was 96",
        "optim.AdamW.rate = 0.001, was 0.006",
    ]
    assert config.changed(now, now) == []
    several = [
        "views.Pretrain.flip=0.1",
        "SEED=1",
        "IMAGE=64",
        "DEPTH=1",
        "HEADS=1",
        "BATCH=1",
        "PATCH=8",
    ]
    many = config.changed(now, config.load(["gin/mae.gin"], several))
    assert len(many) == 6 and many[-1].endswith("more")
