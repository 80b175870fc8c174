"""Take a share of a count exactly."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Literal

CLOSEST = 10**9  # the largest denominator of a share


def fraction(share: float) -> Fraction:
    """Return the fraction that a share means: 29/100 for 0.29, 1/10 for 1 - 0.9.

    It is the nearest fraction with a denominator up to 10^9.
    """
    return Fraction(share).limit_denominator(CLOSEST)


def part(count: int, share: float, rounding: Literal["floor", "round"] = "floor") -> int:
    """Return a share of a count as a whole number.

    The product with the `fraction` is exact: 0.29 of 100 is 29, while floating point gives 28. For
    counts that released code rounds in floating point, errors included, use
    `masks.count.visible_count`.

    Args:
        count: of the whole, 0 or more.
        share: 0 to 1.
        rounding: "floor", or "round" to the nearest, halves to even.
    Raises: ValueError: the count or the share is out of range, or the rounding is unknown.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"part: share: expected 0 to 1, got {share}; give a share of the whole")
    if count < 0:
        raise ValueError(
            f"part: count: expected 0 or more, got {count}; give the size of the whole"
        )
    if rounding not in ("floor", "round"):
        raise ValueError(
            f"part: rounding: expected 'floor' or 'round', got {rounding!r}; choose one"
        )
    exact = count * fraction(share)
    return round(exact) if rounding == "round" else math.floor(exact)
