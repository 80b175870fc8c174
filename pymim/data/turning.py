"""Turn a picture or video for its viewer as its file says: by quarters, and mirrored."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

QUARTER = 1 << 16  # the number 1 in the fixed-point format of a display matrix


class Turn(NamedTuple):
    """Swap rows and columns first, then reverse the order of rows, or of columns."""

    swap: bool = False
    rows: bool = False
    columns: bool = False

    def __call__(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Turn an array [H W] or [H W C]; returns a view of it."""
        turned = pixels.swapaxes(0, 1) if self.swap else pixels
        return turned[:: -1 if self.rows else 1, :: -1 if self.columns else 1]


AS_STORED = Turn()

# By the number that the tag Orientation has in EXIF 2.3 and TIFF 6.0.
ORIENTATIONS = {
    1: AS_STORED,
    2: Turn(columns=True),
    3: Turn(rows=True, columns=True),
    4: Turn(rows=True),
    5: Turn(swap=True),
    6: Turn(swap=True, columns=True),
    7: Turn(swap=True, rows=True, columns=True),
    8: Turn(swap=True, rows=True),
}


def by_orientation(number: object) -> Turn:
    """Return the turn of an EXIF orientation; an invalid number turns nothing."""
    return ORIENTATIONS.get(number, AS_STORED) if isinstance(number, int) else AS_STORED


def by_matrix(matrix: bytes | None) -> Turn:
    """Return the turn of a display matrix, int32 [3 3], which begins a, b, _, c, d.

    The pixel (x, y) is shown at (a x + c y, b x + d y).

    Raises: ValueError if it scales, or turns by less than a quarter.
    """
    if matrix is None:
        return AS_STORED
    numbers = np.frombuffer(matrix, np.int32).tolist()
    (a, b), (c, d) = numbers[:2], numbers[3:5]
    straight, turned = (abs(a), abs(d)), (abs(b), abs(c))
    if straight == (QUARTER, QUARTER) and turned == (0, 0):
        return Turn(rows=d < 0, columns=a < 0)
    if turned == (QUARTER, QUARTER) and straight == (0, 0):
        return Turn(swap=True, rows=b < 0, columns=c < 0)
    shown = [round(number / QUARTER, 2) for number in (a, b, c, d)]
    raise ValueError(
        f"expected a display matrix that turns by quarters, got {shown}; encode the video again, "
        "turned"
    )
