"""The mask policies, a patch at a time."""

import numpy as np


def philox(counter, seed):
    """Philox-4x32-10 in plain integers (Salmon et al. 2011)."""
    x, y, z, w = counter
    low, high = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        a, b = 0xD2511F53 * x, 0xCD9E8D57 * z
        x, y, z, w = (b >> 32) ^ y ^ low, b & 0xFFFFFFFF, (a >> 32) ^ w ^ high, a & 0xFFFFFFFF
        low, high = (low + 0x9E3779B9) & 0xFFFFFFFF, (high + 0xBB67AE85) & 0xFFFFFFFF
    return x, y, z, w


def words(image, count, *, seed, step, view, first=0):
    """`count` random words of the stream of one image of one draw, from position `first`, a multiple of 4."""
    high = view << 24 | (image >> 32) << 16 | step >> 32
    low = image & 0xFFFFFFFF, step & 0xFFFFFFFF
    blocks = range(first // 4, first // 4 + -(-count // 4))
    return [word for block in blocks for word in philox((block, *low, high), seed)][:count]


def hide_all_but_smallest(keys, visible):
    """Boolean masks [B N] that keep the `visible` smallest keys of each row; of equal ones the lower id."""
    order = np.argsort(np.asarray(keys), axis=1, kind="stable")
    mask = np.ones(np.shape(keys), bool)
    np.put_along_axis(mask, order[:, :visible], False, axis=1)
    return mask


def uniform(index, patches, visible, **draw):
    keys = [words(int(i), patches, **draw) for i in index]
    return hide_all_but_smallest(np.reshape(keys, (-1, patches)), visible)
