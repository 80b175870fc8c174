"""Ranking: the pairwise relative loss, forward and backward, and the ids of the hardest patches."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from pymim.bench import Case, Scaling, Thunk


def _patches(b: int, m: int) -> tuple[Any, Any]:
    generator = np.random.default_rng(0)
    return generator.normal(size=(b, m)).astype(np.float32), generator.random((b, m), np.float32)


def _forward_and_backward(loss: Any, inputs: Any) -> Thunk:
    import torch

    scores, losses = torch.from_numpy(inputs[0]).requires_grad_(), torch.from_numpy(inputs[1])

    def run() -> tuple[Any, Any]:
        scores.grad = None
        value = loss(scores, losses)
        value.backward()
        return value.detach(), scores.grad

    return run


def _loss_ours(inputs: Any) -> Thunk:
    from pymim.ops import rank

    return _forward_and_backward(rank.relative_loss, inputs)


def _loss_torch(inputs: Any) -> Thunk:
    """Compute every pair at once, with the signs folded into one softplus."""
    import torch

    def loss(scores: Any, losses: Any) -> Any:
        sign = torch.sign(losses[:, None, :] - losses[:, :, None])
        cost = torch.nn.functional.softplus(-sign * (scores[:, None, :] - scores[:, :, None]))
        valid = sign != 0
        return (cost * valid).sum() / valid.sum()

    return _forward_and_backward(loss, inputs)


def _same_loss(ours: Any, theirs: Any) -> None:
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-5)
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-4, atol=1e-5 * np.abs(theirs[1]).max())


def _loss_case(b: int, m: int, bars: dict[str, float] | None = None) -> Case:
    return Case(
        op="ranking loss, forward + backward",
        shape=f"B {b}, M {m}",
        inputs=partial(_patches, b, m),
        contenders={"pymim": _loss_ours, "torch": _loss_torch},
        agree=_same_loss,
        bars=bars or {},
        items=(b, "images"),
    )


def _hardest_ours(inputs: Any) -> Thunk:
    import torch

    from pymim.ops import rank

    losses = torch.from_numpy(inputs[1])
    return partial(rank.top_k, losses, losses.shape[1] // 4)


def _hardest_torch(inputs: Any) -> Thunk:
    import torch

    losses = torch.from_numpy(inputs[1])
    return lambda: torch.sort(losses, dim=1, descending=True, stable=True)[1][
        :, : losses.shape[1] // 4
    ]


def _hardest_case(b: int, m: int) -> Case:
    return Case(
        op="hardest quarter, in order",
        shape=f"B {b}, M {m}",
        inputs=partial(_patches, b, m),
        contenders={"pymim": _hardest_ours, "torch": _hardest_torch},
        agree=np.testing.assert_array_equal,
        items=(b, "images"),
    )


def cases() -> list[Case]:
    return [
        _loss_case(64, 147, {"torch": 6}),
        _loss_case(4, 1408, {"torch": 10}),
        _hardest_case(256, 196),
        _hardest_case(64, 1568),
    ]


def scaling() -> list[Scaling]:
    return [
        Scaling(
            "ranking loss, forward + backward",
            "M, B 8",
            (49, 98, 196, 392, 784, 1568),
            partial(_loss_case, 8),
        )
    ]
