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
    """`count` random words of one image's stream in one draw, from `first`, a multiple of 4."""
    high = view << 24 | (image >> 32) << 16 | step >> 32
    low = image & 0xFFFFFFFF, step & 0xFFFFFFFF
    blocks = range(first // 4, first // 4 + -(-count // 4))
    return [word for block in blocks for word in philox((block, *low, high), seed)][:count]


def hide_all_but_smallest(keys, visible):
    """Boolean masks [B N] that keep the `visible` smallest keys of a row; of ties the lower id."""
    order = np.argsort(np.asarray(keys), axis=1, kind="stable")
    mask = np.ones(np.shape(keys), bool)
    np.put_along_axis(mask, order[:, :visible], False, axis=1)
    return mask


NAMES = [
    "uniform",
    "filtered",
    "weighted",
    "ranked",
    "priority",
    "disjoint",
    "budget",
    "shares",
    "subset",
]
FIRST = {name: place << 28 for place, name in enumerate(NAMES)}  # where each policy's words begin
F = np.float32


def random(index, count, name, draw):
    """Random words [B, count] of a policy."""
    return np.reshape(
        [words(int(i), count, first=FIRST[name], **draw) for i in index], (len(index), count)
    ).astype(np.uint32)


def uniform(index, patches, visible, **draw):
    return hide_all_but_smallest(random(index, patches, "uniform", draw), visible)


def enlarged(coarse, grid, unit):
    cells = np.reshape(coarse, (-1, *(g // u for g, u in zip(grid, unit, strict=True))))
    for axis, size in enumerate(unit):
        cells = np.repeat(cells, size, axis + 1)
    return cells.reshape(len(cells), -1)


def units(index, grid, visible, unit, **draw):
    count = int(np.prod(grid) // np.prod(unit))
    return enlarged(uniform(index, count, visible // int(np.prod(unit)), **draw), grid, unit)


def filtered(index, bank, grid, visible, **draw):
    crops = []
    for image in index:
        pattern, top, left, flips = words(int(image), 4, first=FIRST["filtered"], **draw)
        top = top * (bank.shape[1] - grid[0] + 1) >> 32
        left = left * (bank.shape[2] - grid[1] + 1) >> 32
        crop = bank[pattern * len(bank) >> 32, top : top + grid[0], left : left + grid[1]]
        crops.append(crop[:: -1 if flips >> 31 else 1, :: -1 if flips >> 30 & 1 else 1].ravel())
    return hide_all_but_smallest(-np.reshape(crops, (-1, grid[0] * grid[1])), visible)


def open_unit(word):
    return F(2 * (int(word) >> 9) + 1) * F(2**-24)


def log(x):
    """ln x in float32, one rounding an operation."""
    offset = int(F(x).view(np.int32)) - 0x3F3504F3
    m = np.int32((offset & 0x7FFFFF) + 0x3F3504F3).view(F)
    s = (m - F(1)) / (m + F(1))
    p = F(0.22222222)
    for c in (0.28571429, 0.4, 0.66666667, 2):
        p = p * (s * s) + F(c)
    return s * p + F(offset >> 23) * F(0.69314718)


def exp(x):
    n = (F(x) * F(1.44269504) + F(12582912)) - F(12582912)
    r = (F(x) - n * F(0.693359375)) + n * F(2.12194440e-4)
    p = F(0.0013888889)
    for c in (0.0083333333, 0.041666667, 0.16666667, 0.5, 1, 1):
        p = p * r + F(c)
    return p * F(2.0 ** int(n))


def weighted(index, weights, visible, side="visible", **names):
    noise = random(index, weights.shape[1], "weighted", names)
    keys = np.zeros(weights.shape, F)
    for place, weight in np.ndenumerate(weights.astype(F)):
        keys[place] = -log(open_unit(noise[place])) / np.clip(weight, F(2**-100), F(2**100))
    if side == "visible":
        return hide_all_but_smallest(keys, visible)
    return ~hide_all_but_smallest(keys, weights.shape[1] - visible)


def ranked(index, scores, visible, hard, hide="highest", **draw):
    scores = scores.astype(F)
    certain = ~hide_all_but_smallest(-scores if hide == "highest" else scores, hard)
    hidden = np.ones_like(certain)
    hidden[~certain] = hide_all_but_smallest(
        random(index, scores.shape[1] - hard, "ranked", draw), visible
    ).ravel()
    return hidden


def priority(index, priority, visible, **draw):
    noise = (random(index, priority.shape[1], "priority", draw) >> 8).astype(F) * F(2**-24)
    return ~hide_all_but_smallest(-(priority.astype(F) + noise), priority.shape[1] - visible)


def disjoint(index, patches, visible, views, covered, **draw):
    """Boolean masks [W B N]."""
    keys = random(index, patches, "disjoint", draw)
    ranks = np.argsort(np.argsort(keys, axis=1, kind="stable"), axis=1)
    masks = []
    for view in range(views):
        ring = (ranks - view * covered // views) % max(covered, 1)
        masks.append((ranks < covered) & (ring < patches - visible))
    return np.stack(masks)


def log_gamma(image, first, alpha, draw):
    alpha = F(alpha)
    d = (alpha + F(1) if alpha < 1 else alpha) - F(0.33333333)
    c = F(1) / np.sqrt(F(9) * d)
    for attempt in range(64):
        x, y, z, w = words(image, 4, first=first + 4 * attempt, **draw)
        a, b = F(2) * open_unit(x) - F(1), F(2) * open_unit(y) - F(1)
        q = a * a + b * b
        if q >= 1 or q < 2**-60:
            continue
        normal = a * np.sqrt(F(-2) * log(q) / q)
        t = F(1) + c * normal
        if t < 2**-30:
            continue
        v = t * t * t
        if log(open_unit(z)) < F(0.5) * normal * normal + d - d * v + d * log(v):
            return log(d * v) + (log(open_unit(w)) / alpha if alpha < 1 else F(0))
    return log(d)


def shares(image, sizes, visible, alpha, draw):
    """How many visible patches each grid gets."""
    logs = [log_gamma(image, FIRST["shares"] + 256 * g, a, draw) for g, a in enumerate(alpha)]
    parts = [exp(max(part - max(logs), F(-87))) for part in logs]
    total = F(0)
    for part in parts:
        total = total + part
    quotas = [F(visible) * part / total for part in parts]
    counts = [min(int(quota), size) for quota, size in zip(quotas, sizes, strict=True)]
    while sum(counts) < visible:
        lacks = [
            q - F(c) if c < s else -np.inf for q, c, s in zip(quotas, counts, sizes, strict=True)
        ]
        counts[int(np.argmax(lacks))] += 1
    return counts


def budget(index, sizes, visible, alpha, **draw):
    keys = random(index, sum(sizes), "budget", draw)
    rows = []
    for image, row in zip(index, keys, strict=True):
        parts = np.split(row, np.cumsum(sizes)[:-1])
        counts = shares(int(image), sizes, visible, alpha, draw)
        rows.append(
            np.concatenate(
                [hide_all_but_smallest([p], c)[0] for p, c in zip(parts, counts, strict=True)]
            )
        )
    return np.reshape(rows, keys.shape)


def subset(index, ids, count, **draw):
    rows = []
    for image, row in zip(index, ids, strict=True):
        left, kept = count, []
        for i, word in enumerate(words(int(image), len(row), first=FIRST["subset"], **draw)):
            if word * (len(row) - i) >> 32 < left:
                kept.append(row[i])
                left -= 1
        rows.append(kept)
    return np.reshape(rows, (len(rows), count)).astype(np.int64)
