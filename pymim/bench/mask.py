"""Masks: uniform, and ranked by a score of each patch."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from pymim.bench import Case, Scaling, Thunk

Read = tuple[Thunk, Any]


def _scores(b: int, n: int) -> Any:
    return np.random.default_rng(0).normal(size=(b, n)).astype(np.float32)


def _facts(scores: Any, hard: int, result: Any) -> Any:
    """Give what two random masks share: counts, consistent ids and booleans, and the hardest
    hidden.
    """
    visible, boolean = (np.asarray(part) for part in result)
    hidden = boolean.astype(bool)
    certain = np.argsort(-scores, 1)[:, :hard]
    agree = not np.take_along_axis(hidden, visible, 1).any()
    return hidden.sum(1), np.array([agree, np.take_along_axis(hidden, certain, 1).all()])


def _uniform_ours(visible: int, scores: Any) -> Read:
    import torch

    from pymim.ops import mask

    index = torch.arange(len(scores))

    def run() -> Any:
        result = mask.uniform(index, scores.shape[1], visible, seed=1)
        return result.visible, result.boolean

    return run, partial(_facts, scores, 0)


def _uniform_torch(visible: int, scores: Any) -> Read:
    """Draw noise, then two argsorts and a gather, as MAE does."""
    import torch

    b, n = scores.shape

    def run() -> Any:
        shuffle = torch.rand(b, n).argsort(1)
        mask = torch.ones(b, n)
        mask[:, :visible] = 0
        return shuffle[:, :visible], mask.gather(1, shuffle.argsort(1))

    return run, partial(_facts, scores, 0)


def _ranked_ours(visible: int, hard: int, scores: Any) -> Read:
    import torch

    from pymim.ops import mask

    index, values = torch.arange(len(scores)), torch.from_numpy(scores)

    def run() -> Any:
        result = mask.ranked(index, values, visible, hard, seed=1)
        return result.visible, result.boolean

    return run, partial(_facts, scores, hard)


def _ranked_torch(visible: int, hard: int, scores: Any) -> Read:
    """Use the best vectorised form: noise without the hardest, and two top-k."""
    import torch

    values = torch.from_numpy(scores)

    def run() -> Any:
        noise = torch.rand(values.shape).scatter_(
            1, values.topk(hard, 1, sorted=False).indices, 2.0
        )
        kept = noise.topk(visible, 1, largest=False, sorted=False).indices.sort(1).values
        mask = torch.ones(values.shape, dtype=torch.bool).scatter_(1, kept, False)
        mask.nonzero()  # the hidden ids
        return kept, mask

    return run, partial(_facts, scores, hard)


def _ranked_loop(visible: int, hard: int, scores: Any) -> Read:
    """Loop over images, from torch to numpy and back, as HPM's released code does."""
    import torch

    values, random = torch.from_numpy(scores), np.random.default_rng(0)
    b, n = scores.shape

    def run() -> Any:
        order = values.argsort(1)
        kept, mask = torch.empty(b, visible, dtype=torch.int64), torch.ones(b, n, dtype=torch.bool)
        for image in range(b):
            rest = np.delete(np.arange(n), order[image, n - hard :].numpy())
            random.shuffle(rest)
            kept[image] = torch.from_numpy(rest[:visible])
            mask[image, kept[image]] = False
        return kept, mask

    return run, partial(_facts, scores, hard)


def _same(ours: Any, theirs: Any) -> None:
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine, other)


def _uniform_case(b: int, n: int, v: int, bars: dict[str, float] | None = None) -> Case:
    return Case(
        op="uniform mask",
        shape=f"B {b}, N {n}, {v} visible",
        inputs=partial(_scores, b, n),
        contenders={"pymim": partial(_uniform_ours, v), "torch": partial(_uniform_torch, v)},
        agree=_same,
        bars=bars or {},
        items=(b, "images"),
    )


def _ranked_case(b: int, n: int, v: int, hard: int, bars: dict[str, float] | None = None) -> Case:
    forms = {"pymim": _ranked_ours, "torch": _ranked_torch, "numpy loop": _ranked_loop}
    return Case(
        op="ranked mask",
        shape=f"B {b}, N {n}, {v} visible, {hard} hard",
        inputs=partial(_scores, b, n),
        contenders={name: partial(form, v, hard) for name, form in forms.items()},
        agree=_same,
        bars=bars or {},
        items=(b, "images"),
    )


def cases() -> list[Case]:
    return [
        _uniform_case(256, 196, 49, {"torch": 10}),
        _uniform_case(64, 1568, 160),
        _ranked_case(256, 196, 49, 73, {"torch": 10, "numpy loop": 100}),
    ]


def scaling() -> list[Scaling]:
    return [
        Scaling(
            "uniform mask",
            "N, B 256",
            [49, 98, 196, 392, 784],
            lambda n: _uniform_case(256, n, n // 4),
        ),
        Scaling(
            "uniform mask",
            "B, N 196",
            [64, 128, 256, 512, 1024],
            lambda b: _uniform_case(b, 196, 49),
        ),
    ]
