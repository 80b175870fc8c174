"""The counts of the papers, float errors included."""

import pytest

from pymim.masks.count import visible_count

TABLE = [  # patches, ratio, rounding, visible
    (196, 0.75, "keep-floor", 49),
    (196, 0.9, "keep-floor", 19),
    (196, 0.9, "mask-floor", 20),
    (196, 0.6, "keep-floor", 78),
    (196, 0.6, "mask-floor", 79),
    (196, 0.6, "round", 78),
    (1568, 0.9, "keep-floor", 156),
    (1568, 0.95, "keep-floor", 78),
    (8 * 196 // 8, 0.9, "mask-floor", 160 // 8),
    (49, 0.6, "ceil", 49 - 30),
    (49, 0.6, "keep-floor", 19),
    (49, 0.6, "round", 20),
    (100, 0.9, "keep-floor", 9),  # 100 * (1 - 0.9) is 9.999999999999998
    (10, 0.9, "keep-floor", 0),  # 10 * (1 - 0.9) is 0.9999999999999998
    (0, 0.5, "ceil", 0),
    (7, 1.0, "ceil", 0),
    (7, 0.0, "mask-floor", 7),
]


@pytest.mark.parametrize(("patches", "ratio", "rounding", "visible"), TABLE)
def test_count(patches, ratio, rounding, visible):
    assert visible_count(patches, ratio, rounding) == visible


def test_every_count_is_in_range():
    for rounding in ("keep-floor", "mask-floor", "ceil", "round"):
        for patches in (0, 1, 49, 196):
            assert all(
                0 <= visible_count(patches, tenth / 10, rounding) <= patches for tenth in range(11)
            )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((196, 1.5), "ratio: expected 0 to 1, got 1.5"),
        ((196, float("nan")), "ratio: expected 0 to 1, got nan"),
        ((-1, 0.5), "patches: expected 0 or more, got -1"),
        ((196, 0.5, "floor"), "rounding: expected 'keep-floor', .* got 'floor'"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=f"visible_count: {message}"):
        visible_count(*arguments)
