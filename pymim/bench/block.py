"""Masks made of rectangles, against the usual code of data loaders: one image at a time in Python
and numpy.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from pymim.bench import Case, Scaling, Thunk

Flags = np.ndarray[Any, Any]  # bool [B N]
BATCH = 256


def cases() -> list[Case]:
    return [
        _case("block, exact", "B 256, 14x14, 75 hidden", _block(BATCH), _hide_blocks, 100),
        _case("inverse block", "B 256, 16x16, 90 visible", _inverse, _show_window, 50),
    ]


def scaling() -> list[Scaling]:
    def case(batch: int) -> Case:
        return _case(
            "block, exact", f"B {batch}, 14x14, 75 hidden", _block(batch), _hide_blocks, 100, batch
        )

    return [Scaling("block, exact", "B, 14 x 14", [64, 128, 256, 512, 1024], case)]


def _case(
    op: str,
    shape: str,
    ours: Callable[[], Thunk],
    theirs: Callable[[], Flags],
    bar: float,
    batch: int = BATCH,
) -> Case:
    return Case(
        op=op,
        shape=shape,
        inputs=lambda: None,
        contenders={
            "pymim": lambda _: (ours(), lambda mask: mask.boolean),
            "numpy": lambda _: partial(_one_by_one, batch, theirs),
        },
        agree=_same_law,
        bars={"numpy": bar},
        items=(batch, "images"),
    )


def _same_law(ours: Flags, theirs: Flags) -> None:
    """Check equal counts; and, since draws differ, an equal share of each patch within 6 sigma."""
    assert ours.shape == theirs.shape
    np.testing.assert_array_equal(np.sum(ours, 1), np.sum(theirs, 1))
    assert abs(np.mean(ours, 0) - np.mean(theirs, 0)).max() < 6 * math.sqrt(0.5 / len(ours))


def _block(batch: int) -> Callable[[], Thunk]:
    def prepare() -> Thunk:
        import torch

        from pymim.ops import mask

        index = torch.arange(batch)
        return lambda: mask.block(index, (14, 14), 75)

    return prepare


def _inverse() -> Thunk:
    import torch

    from pymim.ops import mask

    index = torch.arange(BATCH)
    return lambda: mask.inverse_block(index, (16, 16), 90)


def _one_by_one(batch: int, mask: Callable[[], Flags]) -> Flags:
    return np.stack([mask().reshape(-1) for _ in range(batch)])


def _hide_blocks(
    side: int = 14, hidden: int = 75, smallest: int = 16, steepest: float = 1 / 0.3
) -> Flags:
    """Hide blocks until the count is met (BEiT, Bao et al. 2022; CAE, Chen et al. 2024)."""
    mask = np.zeros((side, side), bool)
    left = hidden
    while left > 0:
        area = random.uniform(smallest, left)
        aspect = math.exp(random.uniform(-math.log(steepest), math.log(steepest)))
        rows, columns = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if rows > side or columns > side:
            continue
        top, start = random.randint(0, side - rows), random.randint(0, side - columns)
        block = mask[top : top + rows, start : start + columns]
        new = rows * columns - int(block.sum())
        if 0 < new <= left:
            block[:] = True
            left -= new
    return mask


def _show_window(side: int = 16, visible: int = 90) -> Flags:
    """Show one rectangle, cut to the count and rolled (CAPI, Darcet et al. 2025)."""
    aspect = math.exp(random.uniform(math.log(0.5), math.log(2)))
    rows, columns = math.ceil(math.sqrt(visible * aspect)), math.ceil(math.sqrt(visible / aspect))
    shown = np.zeros((side, side), bool)
    shown[:rows, :columns] = True
    extra = np.flatnonzero(shown)[visible:]
    shown.flat[extra] = False
    return ~np.roll(shown, (random.randrange(side), random.randrange(side)), (0, 1))
