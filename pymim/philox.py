"""Name random numbers instead of drawing them: functions of (seed, step, view, index, position).

Philox-4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), in the
layout of the core's pymim/random.hpp, vectorised in numpy. Workers, ranks and resumed runs that use
the same name get the same bits.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from jaxtyping import Float32, UInt32

LOW, SHIFT = np.uint64(0xFFFFFFFF), np.uint64(32)
MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
WEYL = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)


class Name(NamedTuple):
    """Name the stream of each of B images. `step` may differ from image to image."""

    seed: int
    step: int | NDArray[np.int64]  # below 2^48
    index: NDArray[np.int64]  # type: ignore[assignment] # [B], below 2^40
    view: int = 0  # below 2^8


def key(seed: int, purpose: str) -> int:
    """Derive a seed for each purpose, so that no two purposes read the same stream."""
    return (seed ^ zlib.crc32(purpose.encode()) << 32) % 2**64


def words(name: Name, blocks: int, first: int = 0) -> UInt32[np.ndarray, "B K 4"]:
    """Return blocks `first` to `first + blocks` of each image's stream, four words in each."""
    index, step = (
        np.asarray(x, np.int64).astype(np.uint64).reshape(-1, 1) for x in (name.index, name.step)
    )
    block = np.arange(first, first + blocks, dtype=np.uint64)
    high = (
        np.uint64(name.view) << np.uint64(24)
        | (index >> SHIFT & np.uint64(0xFF)) << np.uint64(16)
        | (step >> SHIFT & np.uint64(0xFFFF))
    )
    counter = np.broadcast_arrays(block, index & LOW, step & LOW, high)
    return np.stack(_rounds(counter, name.seed % 2**64), axis=-1).astype(np.uint32)


def uniforms(name: Name, blocks: int, first: int = 0) -> Float32[np.ndarray, "B K 4"]:
    """Return the words as numbers on [0, 1): multiples of 2^-24."""
    return (words(name, blocks, first) >> np.uint32(8)).astype(np.float32) * np.float32(2**-24)


def _rounds(counter: Any, seed: int) -> tuple[NDArray[np.uint64], ...]:
    x, y, z, w = counter
    keys = np.uint64(seed & 0xFFFFFFFF), np.uint64(seed >> 32)
    for _ in range(10):
        a, b = MULTIPLIERS[0] * x, MULTIPLIERS[1] * z
        x, y = (b >> SHIFT) ^ y ^ keys[0], b & LOW
        z, w = (a >> SHIFT) ^ w ^ keys[1], a & LOW
        keys = (keys[0] + WEYL[0]) & LOW, (keys[1] + WEYL[1]) & LOW
    return x, y, z, w
