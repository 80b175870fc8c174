"""Mask sampling: which patches of each image are hidden.

A mask is data: a pure function of (seed, step, dataset index, view), the same bits on CPU and CUDA, for any
batch split, order and thread count. B images, N patches in the grid, V visible, M = N - V hidden.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from pymim import _core
from pymim.ops.arrays import accepts_numpy, stream


class Mask(NamedTuple):
    """What every policy returns. Ids ascend; counts are equal over the batch."""

    visible: Tensor  # int64 [B V]
    hidden: Tensor  # int64 [B M]
    boolean: Tensor  # bool [B N], True = hidden


@torch.library.custom_op("pymim::uniform_mask", mutates_args=())
def _uniform(
    index: Tensor, patches: int, visible: int, seed: int, step: int, view: int
) -> tuple[Tensor, Tensor, Tensor]:
    out = _empty(index, patches, visible)
    keys = index.new_empty((len(index), patches), dtype=torch.uint32)
    _core.mask.uniform(index, seed, step, view, keys, *out, stream(index))
    return out


@_uniform.register_fake
def _(index: Tensor, patches: int, visible: int, seed: int, step: int, view: int) -> tuple[Tensor, Tensor, Tensor]:
    return _empty(index, patches, visible)


def _empty(index: Tensor, patches: int, visible: int) -> tuple[Tensor, Tensor, Tensor]:
    b = index.shape[0]
    return (
        index.new_empty((b, visible)),
        index.new_empty((b, patches - visible)),
        index.new_empty((b, patches), dtype=torch.bool),
    )


@accepts_numpy
def uniform(index: Tensor, patches: int, visible: int, *, seed: int = 0, step: int = 0, view: int = 0) -> Mask:
    """Hides patches uniformly, without replacement (MAE, He et al. 2022).

    Args:
        index: int64 [B], the dataset index of each image. The masks come back on its device.
        patches: N, how many patches the grid has.
        visible: V, how many of them stay visible, 0 <= V <= N.
        seed, step, view: name the draw.
    Returns:
        Mask.
    Raises:
        ValueError: a count or number is out of range; TypeError: `index` is not int64.
    Cost: O(B N) time and scratch.
    """
    if not 0 <= visible <= patches:
        raise ValueError(f"uniform: visible: expected 0 to {patches} (patches), got {visible}; ask for fewer")
    return Mask(*_uniform(index, patches, visible, seed, step, view))
