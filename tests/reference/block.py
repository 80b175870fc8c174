"""Masks made of rectangles, as the papers describe them: block by block, in Python floats.

Each policy takes its random numbers from `source`, a function of a block number and a kind: the
words of the core's stream of one image (`words_of`), or any other generator, to compare
distributions.
"""

import math

import numpy as np

from tests.reference.mask import philox

ROLE, BLOCK, WINDOW, TARGET, TRIM = 9 << 26, 0, 1 << 25, 5 << 23, 3 << 24


def words_of(image, *, seed=0, step=0, view=0):
    """Block number -> its four words, in the part of the image's stream that rectangles read."""
    high = view << 24 | (image >> 32) << 16 | step >> 32
    return lambda block: philox((ROLE + block, image & 0xFFFFFFFF, step & 0xFFFFFFFF, high), seed)


def words_from(generator):
    """The same from a numpy generator, so that each number is new."""
    return lambda block: generator.integers(0, 2**32, 4, dtype=np.uint64).tolist()


def below(word, n):
    return word * n >> 32


def between(word, low, high):
    return low + (word >> 8) / 2**24 * (high - low)


def log_between(word, low, high):
    return math.exp(between(word, math.log(low), math.log(high)))


def block(source, grid, hidden, area, aspect, duration, tries, exact):
    """BEiT's block-wise masking; its cubes over frames; `exact` trims the last block."""
    frames, rows, columns = grid
    mask = np.zeros(grid, bool)
    k = failures = 0
    overhang = (slice(0, 0),)
    while (left := hidden - mask.sum()) > 0 and failures < tries:
        words, more = source(BLOCK + 2 * k), source(BLOCK + 2 * k + 1) if frames > 1 else (0, 0)
        size = between(words[0], area[0], area[1] or left)
        ratio = log_between(words[1], *aspect)
        h, w = max(1, round(math.sqrt(size * ratio))), max(1, round(math.sqrt(size / ratio)))
        k += 1
        failures += 1
        if h > max(1, rows - 1) or w > max(1, columns - 1):
            continue
        d = duration[0] + below(more[0], duration[1] - duration[0] + 1)
        corner = (
            below(more[1], frames - d + 1),
            below(words[2], rows - h + 1),
            below(words[3], columns - w + 1),
        )
        box = tuple(slice(at, at + n) for at, n in zip(corner, (d, h, w), strict=True))
        new = mask[box].size - mask[box].sum()
        if 0 < new <= left:
            mask[box], failures, overhang = True, 0, (slice(0, 0),)
        elif new > left:
            overhang = box
    for region in (overhang, ...) if exact else ():
        clear = np.argwhere(~mask[region])[: hidden - mask.sum()]
        mask[region][tuple(clear.T)] = True
    return mask


def inverse_block(source, grid, visible, aspect, roll):
    """CAPI's visible rectangle."""
    frames, rows, columns = grid
    n = visible // frames
    hide = np.ones((rows, columns), bool)
    if n:
        words = source(WINDOW)
        fit = [min(max(a, n / columns**2), rows**2 / n) for a in aspect]
        ratio = log_between(words[0], *fit)
        h = min(max(math.ceil(math.sqrt(n * ratio)), -(-n // columns)), rows)
        w = min(max(math.ceil(math.sqrt(n / ratio)), -(-n // h)), columns)
        top, left = (
            below(words[1], rows if roll else rows - h + 1),
            below(words[2], columns if roll else columns - w + 1),
        )
        for i in range(n):
            hide[(top + i // w) % rows, (left + i % w) % columns] = False
    return np.repeat(hide[None], frames, 0)


def multi_block(source, grid, visible, blocks, target, context, edges, raster):
    """I-JEPA's targets [S K] and the context without them."""
    frames, rows, columns = grid

    def place(attempt, number, size):
        words = source(TARGET + attempt * (blocks // 2 + 1) + number // 2)[2 * (number % 2) :]
        at = [
            below(word, n - size[i] + edges)
            for i, (word, n) in enumerate(zip(words[:2], grid[1:], strict=True))
        ]
        box = np.zeros((rows, columns), bool)
        box[at[0] : at[0] + size[0], at[1] : at[1] + size[1]] = True
        return box

    for attempt, apart in [(i, blocks) for i in range(32)] + [
        (31, s) for s in range(blocks - 1, 0, -1)
    ]:
        targets = [place(attempt, 1 + (t if t < apart else 0), target) for t in range(blocks)]
        shown = place(attempt, 0, context) & ~np.any(targets, axis=0)
        if shown.sum() >= visible // frames:
            break
    if raster:
        shown.flat[np.flatnonzero(shown)[visible // frames :]] = False
    for i in range(10**9):
        if shown.sum() <= visible // frames:
            break
        words = source(TRIM + i // 2)[2 * (i % 2) :]
        shown[below(words[0], rows), below(words[1], columns)] = False
    ids = [np.flatnonzero(np.repeat(box[None], frames, 0)) for box in targets]
    return np.array(ids), np.repeat(~shown[None], frames, 0)
