"""Whole sides of a window, by integers: no float may round one up."""

from fractions import Fraction

import pytest
import torch

from pymim.ops import mask


def least_side(square):
    """The least whole number whose square is at least this."""
    side = 0
    while side * side < square:
        side += 1
    return side


def sides(rows, columns, visible, aspect):
    """The least and greatest rows and columns of a window, in fractions."""
    low, high = (
        min(max(a, Fraction(visible, columns**2)), Fraction(rows**2, visible)) for a in aspect
    )
    return [
        (least_side(visible * low), least_side(visible * high)),
        (least_side(visible / high), least_side(visible / low)),
    ]


def check(grid, visible, aspect):
    ends = tuple(map(float, aspect))
    hidden = mask.inverse_block(torch.arange(12), grid, visible, aspect=ends, roll=False).boolean
    shown = ~hidden.view(-1, *grid)
    found = zip(shown.any(2).sum(1).tolist(), shown.any(1).sum(1).tolist(), strict=True)
    (fewest_rows, most_rows), (fewest, most) = sides(*grid, visible, aspect)
    for rows, columns in found:
        # Cut in raster order a window may lose rows, never more columns than it has patches.
        assert rows <= most_rows and -(-visible // columns) == rows, (grid, visible)
        assert fewest <= columns <= most and fewest_rows <= most_rows, (grid, visible)


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 7])
def test_visible_block_has_ceiled_whole_sides(rows):
    for columns in range(1, 17):
        for visible in range(1, rows * columns + 1):
            check((rows, columns), visible, (Fraction(1, 2), Fraction(2)))


@pytest.mark.parametrize("side", range(1, 6))
@pytest.mark.parametrize(("a", "b"), [(1, 2), (2, 1), (1, 3), (3, 10), (10, 3), (9, 4)])
def test_visible_block_of_one_aspect_is_a_full_rectangle(a, b, side):
    """Of aspect a / b, and a b n^2 patches: a n rows, b n columns."""
    grid = (60, 60)
    shown = ~mask.inverse_block(
        torch.arange(4), grid, a * b * side**2, aspect=(a / b, a / b), roll=False
    ).boolean
    shown = shown.view(-1, *grid)
    assert (shown.any(2).sum(1) == a * side).all() and (shown.any(1).sum(1) == b * side).all()
