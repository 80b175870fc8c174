"""The crops that video methods train on: which there are, and how often each."""

from collections import Counter

import numpy as np
import pytest
import torch

from pymim import philox, views
from pymim.contracts import Draw
from pymim.errors import ConfigError
from pymim.views.crop import scaled_boxes

SCALES = (1.0, 0.875, 0.75, 0.66)


def drawn(height, width, count=20000, size=224, scales=SCALES, distort=1):
    name = philox.Name(3, 0, np.arange(count))
    boxes = scaled_boxes(
        torch.tensor([[height, width]] * count), name, (size, size), scales, distort
    )
    return Counter(map(tuple, boxes.tolist()))


def expected(height, width):
    """Every rectangle with its weight, written out: ten pairs of sides, 13 places."""
    sides = [int(min(height, width) * scale) for scale in SCALES]
    found = Counter()
    for h, w in [
        (h, w) for i, h in enumerate(sides) for j, w in enumerate(sides) if i - j in (-1, 0, 1)
    ]:
        down, right = (height - h) // 4, (width - w) // 4
        corners = [(0, 0), (0, 4), (4, 0), (4, 4)]
        middles = [(2, 2), (2, 0), (2, 4), (4, 2), (0, 2)]
        quarters = [(1, 1), (1, 3), (3, 1), (3, 3)]
        for y, x in corners + middles + quarters:
            found[y * down, x * right, h, w] += 1
    return found


def test_there_are_ten_pairs_of_sides_at_thirteen_places():
    mine, theirs = drawn(240, 320), expected(240, 320)
    assert mine.keys() == theirs.keys() and sum(theirs.values()) == 130
    shares = {box: mine[box] / 20000 - count / 130 for box, count in theirs.items()}
    assert max(map(abs, shares.values())) < 5 * (1 / 130 / 20000) ** 0.5  # five deviations
    areas = [h * w / (240 * 320) for _, _, h, w in mine]
    aspects = [w / h for _, _, h, w in mine]
    assert min(areas) == pytest.approx(0.325, abs=0.005) and max(areas) == 0.75
    assert min(aspects) == pytest.approx(0.857, abs=0.001) and max(aspects) == pytest.approx(
        1.167, abs=0.001
    )


def test_no_distortion_gives_squares():
    assert {(h, w) for _, _, h, w in drawn(240, 320, distort=0)} == {
        (s, s) for s in (240, 210, 180, 158)
    }


@pytest.mark.parametrize(
    ("side", "sides"), [(254, {254, 224, 190, 167}), (222, {222, 194, 166, 146})]
)
def test_a_side_close_to_the_view_s_size_becomes_it_if_it_fits(side, sides):
    assert {n for _, _, *both in drawn(side, side) for n in both} == sides


def test_it_cuts_clips_as_pretrain_does():
    clip = torch.randint(
        0, 256, (2, 3, 4, 40, 60), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    view, index, draw = views.MultiScale(16), torch.arange(2), Draw(0, 0)
    made, box = view(clip, index, draw), view.drawn(clip, index, draw)["box"]
    assert made.shape == (2, 3, 4, 16, 16) and (box[:, 3] > 0).all()
    for k, (top, left, h, w) in enumerate(box.tolist()):
        piece = clip[k, :, :, top : top + h, left : left + w].transpose(0, 1).float() / 255
        wanted = torch.nn.functional.interpolate(piece, (16, 16), mode="bilinear", antialias=True)
        assert torch.allclose(view.normalise.undo(made)[k].transpose(0, 1), wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scales": ()}, "MultiScale: scales: expected a whole number, 1 or more, got 0"),
        (
            {"scales": (1.0, 87.5)},
            "MultiScale: scales: expected a share above 0, to 1, got 87.5; did you mean 0.875",
        ),
        ({"distort": -1}, "MultiScale: distort: expected a whole number, 0 or more, got -1"),
        (
            {"kernel": "area"},
            "MultiScale: kernel: expected one of bicubic, bilinear, bilinear-aliased, got 'area'",
        ),
    ],
)
def test_invalid_arguments_are_refused(arguments, message):
    with pytest.raises((ConfigError, ValueError), match=message):
        views.MultiScale(16, **arguments)
