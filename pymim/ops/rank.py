"""Patch-loss ranking: learn and look up which patches of an image a model finds hard.

The relative loss trains a predictor to order patches by their loss; `ranks` and `top_k` read the
order. B images, M patches of each.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from pymim import _core
from pymim.ops.arrays import accepts_numpy, stream
from pymim.ops.register import differentiate, op


class RelativeSums(NamedTuple):
    """The relative loss before its final division."""

    sums: Tensor  # [B M], summed losses of each patch's pairs
    pairs: Tensor  # int64 [B M], number of pairs of each patch


def _run(
    scores: Tensor,
    losses: Tensor,
    weights: Tensor | None,
    epsilon: float,
    sums: Tensor | None,
    pairs: Tensor | None,
    gradient: Tensor | None,
) -> None:
    b, m = scores.shape
    scores = scores.detach()  # DLPack refuses tensors that require a gradient
    scratch = scores.new_empty(b, _core.rank.relative_loss_scratch(m))
    _core.rank.relative_loss(
        scores, losses, weights, epsilon, scratch, sums, pairs, gradient, stream(scores)
    )


@op(
    "relative_loss",
    lambda scores, losses, epsilon: (scores.new_empty(()), torch.empty_like(scores)),
)
def _relative_loss(scores: Tensor, losses: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """Give the mean over the pairs, and its gradient, which the backward pass scales."""
    sums, pairs = torch.empty_like(scores), torch.empty_like(scores, dtype=torch.int64)
    gradient = torch.empty_like(scores)
    _run(scores, losses, None, epsilon, sums, pairs, gradient)
    count = pairs.sum().clamp_(min=1)
    return sums.sum().div_(count), gradient.div_(count)


def _refuse_second_derivatives() -> None:
    """Refuse create_graph=True: autograd would take the saved gradient's derivative as zero."""
    if torch.is_grad_enabled() and not torch.compiler.is_compiling():
        raise RuntimeError(
            "relative_loss: expected one backward pass, got create_graph=True; "
            "there are no second derivatives"
        )


def _save_gradient(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(output[1])


def _scale_gradient(ctx: Any, upstream: Tensor, _: Tensor) -> tuple[Tensor, None, None]:
    _refuse_second_derivatives()
    return upstream * ctx.saved_tensors[0], None, None


differentiate("relative_loss", _scale_gradient, _save_gradient)


def _empty_sums(scores: Tensor, losses: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    return torch.empty_like(scores), torch.empty_like(scores, dtype=torch.int64)


@op("relative_sums", _empty_sums)
def _relative_sums(scores: Tensor, losses: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    sums, pairs = _empty_sums(scores, losses, epsilon)
    _run(scores, losses, None, epsilon, sums, pairs, None)
    return sums, pairs


@op("relative_sums_backward", lambda upstream, scores, losses, epsilon: torch.empty_like(scores))
def _relative_sums_backward(
    upstream: Tensor, scores: Tensor, losses: Tensor, epsilon: float
) -> Tensor:
    gradient = torch.empty_like(scores)
    _run(scores, losses, upstream.contiguous(), epsilon, None, None, gradient)
    return gradient


def _save_inputs(
    ctx: Any, inputs: tuple[Tensor, Tensor, float], output: tuple[Tensor, Tensor]
) -> None:
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(*inputs[:2])
    ctx.epsilon = inputs[2]


def _backward(ctx: Any, upstream: Tensor, _: Tensor) -> tuple[Tensor, None, None]:
    _refuse_second_derivatives()
    scores, losses = ctx.saved_tensors
    return _relative_sums_backward(upstream, scores, losses, ctx.epsilon), None, None


differentiate("relative_sums", _backward, _save_inputs)


def _comparable(function: str, scores: Tensor, losses: Tensor) -> tuple[Tensor, Tensor]:
    """Convert both to one type of at least float32, so that only values equal as given tie."""
    _check_scores(function, "scores", scores)
    _check_scores(function, "losses", losses)
    dtype = torch.promote_types(torch.promote_types(scores.dtype, losses.dtype), torch.float32)
    return scores.to(dtype).contiguous(), losses.detach().to(dtype).contiguous()


def _check_scores(function: str, name: str, scores: Tensor) -> None:
    if not scores.is_floating_point():
        raise TypeError(
            f"{function}: {name}: expected a floating point dtype, got {scores.dtype}; "
            "convert it first"
        )
    if scores.ndim != 2:
        raise ValueError(
            f"{function}: {name}: expected 2 axes [B M], got {list(scores.shape)}; reshape it"
        )


@accepts_numpy
def relative_loss(scores: Tensor, losses: Tensor, *, epsilon: float = 0.0) -> Tensor:
    """Measure how badly `scores` order each image's patches by `losses` (HPM, Wang et al. 2023).

    Over all ordered pairs (i, j) of patches of one image with losses_i != losses_j, with
    d = scores_j - scores_i and the label 1 where losses_j > losses_i, else 0:

        L = - mean [ label log sigmoid(d) + (1 - label) log(1 - sigmoid(d)) ]

    The mean is over the pairs of the whole batch. Without pairs (equal losses, M = 1) loss and
    gradient are 0.

    Args:
        scores: [B M], floating point; they get the gradient. Half precision is compared in float32.
        losses: [B M], floating point; detached.
        epsilon: added inside the logarithms. 0 is the stable form; 1e-6 is the released code's,
            which caps a pair at 13.8 and stops the gradient of pairs wrong by more than about 14.
    Returns:
        a scalar, float32, or float64 where either input is.
    Raises:
        ValueError: shapes or devices differ, numbers on the CPU are not finite (on a GPU the loss
            is then NaN), or epsilon is out of range.
        TypeError: an integer dtype.
    Cost: O(B M^2) time for both directions together, O(B M) memory.
    Example:
        >>> losses = torch.tensor([[0.3, 0.1, 0.9, 0.2]])
        >>> relative_loss(10 * losses, losses) < relative_loss(-10 * losses, losses)
        tensor(True)
    """
    return _relative_loss(*_comparable("relative_loss", scores, losses), epsilon)[0]


@accepts_numpy
def relative_sums(scores: Tensor, losses: Tensor, *, epsilon: float = 0.0) -> RelativeSums:
    """Give each patch's summed pair losses and its number of pairs, before the final division.

    `sums.sum() / pairs.sum()` is `relative_loss`; a pair counts in both of its patches. For a mean
    over several processes, or to weigh patches or images: reduce, then divide.

    Args, Raises: as `relative_loss`.
    Returns:
        RelativeSums, differentiable by the scores with any weights on the sums.
    Cost: O(B M^2) time in each direction, O(B M) memory.
    """
    return RelativeSums(*_relative_sums(*_comparable("relative_sums", scores, losses), epsilon))


@op("ranks", lambda scores, descending: torch.empty_like(scores, dtype=torch.int64))
def _ranks(scores: Tensor, descending: bool) -> Tensor:
    ranks = torch.empty_like(scores, dtype=torch.int64)
    _core.rank.rank(scores, descending, _sort_scratch(scores), None, ranks, stream(scores))
    return ranks


@op("top_k", lambda scores, k, descending: scores.new_empty(scores.shape[0], k, dtype=torch.int64))
def _top_k(scores: Tensor, k: int, descending: bool) -> Tensor:
    ids = scores.new_empty(scores.shape[0], k, dtype=torch.int64)
    _core.rank.rank(scores, descending, _sort_scratch(scores), ids, None, stream(scores))
    return ids


def _sort_scratch(scores: Tensor) -> Tensor:
    b, m = scores.shape
    return scores.new_empty(
        b, _core.rank.rank_scratch(m, scores.dtype == torch.float64), dtype=torch.int64
    )


def _sortable(function: str, scores: Tensor) -> Tensor:
    _check_scores(function, "scores", scores)
    return scores.detach().to(torch.promote_types(scores.dtype, torch.float32)).contiguous()


@accepts_numpy
def ranks(scores: Tensor, *, descending: bool = False) -> Tensor:
    """Give each patch's rank within its image, from 0; ties go to the lower id.

    Args:
        scores: [B M], floating point and finite. (On CUDA values are not checked, which would stop
            the stream: NaN ranks above all numbers, as torch sorts it.)
        descending: give the highest score rank 0, not the lowest.
    Returns:
        int64 [B M], a permutation of 0..M-1 in every row.
    Raises:
        ValueError: not two axes, or numbers on the CPU that are not finite.
        TypeError: an integer dtype.
    Cost: O(B M) time and memory on the CPU, a radix sort; on a GPU O(B M^2) comparisons in one
        launch.
    Example:
        >>> ranks(torch.tensor([[0.3, 0.1, 0.9, 0.2]]))
        tensor([[2, 0, 3, 1]])
    """
    return _ranks(_sortable("ranks", scores), descending)


@accepts_numpy
def top_k(scores: Tensor, k: int, *, descending: bool = True) -> Tensor:
    """Give the ids of each image's k highest scores, highest first; ties go to the lower id.

    Args:
        scores: [B M], floating point and finite; on CUDA as in `ranks`.
        k: number of ids, 0 <= k <= M.
        descending: False for the k lowest, the lowest first.
    Returns:
        int64 [B k].
    Raises, Cost: as `ranks`; ValueError: k is out of range.
    Example:
        >>> top_k(torch.tensor([[0.3, 0.1, 0.9, 0.2]]), k=2)
        tensor([[2, 0]])
    """
    scores = _sortable("top_k", scores)
    if not 0 <= k <= scores.shape[1]:
        raise ValueError(
            f"top_k: k: expected 0 to {scores.shape[1]} (patches), got {k}; ask for fewer"
        )
    return _top_k(scores, k, descending)
