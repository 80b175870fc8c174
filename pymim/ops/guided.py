"""Masks that follow a score of each patch: attention, a predicted loss, or a map from the data.

Scores may be float32, bfloat16 or float16, of any strides, such as a slice of attention maps. They
get no gradient. They are compared in float32; with equal keys the lower id comes first. They must
be finite. On a GPU that is not checked, since checking waits for the GPU: there NaN ranks beyond
the infinity of its sign, and as a weight counts as 0.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from pymim import _core
from pymim.ops.arrays import accepts_numpy, stream
from pymim.ops.grid import MaskIds, Triple, check_count, empty
from pymim.ops.register import op


def _empty_beside(index: Tensor, scores: Tensor, visible: int, *rest: int) -> Triple:
    return empty(index, scores.shape[-1], visible)


@op("weighted_mask", _empty_beside)
def weighted_mask(
    index: Tensor,
    weights: Tensor,
    visible: int,
    draws_hidden: bool,
    seed: int,
    step: int,
    view: int,
) -> tuple[Tensor, Tensor, Tensor]:
    out = _empty_beside(index, weights, visible)
    _core.mask.weighted(index, seed, step, view, weights, draws_hidden, *out, stream(index))
    return out


@accepts_numpy
def weighted(
    index: Tensor,
    weights: Tensor,
    visible: int,
    *,
    side: Literal["visible", "hidden"] = "visible",
    seed: int = 0,
    step: int = 0,
    view: int = 0,
) -> MaskIds:
    """Draw patches without replacement, with probability in proportion to their weight.

    Draws the visible patches, as MaskAlign (Xue et al. 2023; a teacher's attention) and AdaMAE
    (Bandara et al. 2023; a learned sampler), or the hidden ones. Takes the smallest Exp(1) / weight
    (Efraimidis & Spirakis 2006): one pass, not a loop.

    Args:
        index: int64 [B], the dataset index of each image, below 2^40.
        weights: [B N], 0 or more, of any scale. Patches of weight 0 are drawn last, uniformly.
        visible: V, 0 <= V <= N.
        side: the patches that are drawn by weight; the others are the rest.
        seed, step, view: identify the draw; below 2^63, 2^48 and 2^8.
    Returns:
        MaskIds.
    Raises:
        ValueError: a count or shape is wrong, or a weight negative, infinite or NaN.
        TypeError: a wrong dtype.
    Cost: O(B N), no scratch.
    """
    check_count("weighted", "visible", visible, weights.shape[-1], "patches")
    if side not in ("visible", "hidden"):
        raise ValueError(
            f"weighted: side: expected 'visible' or 'hidden', got {side!r}; choose one"
        )
    return MaskIds(
        *weighted_mask(
            index, weights.detach().contiguous(), visible, side == "hidden", seed, step, view
        )
    )


@op("ranked_mask", _empty_beside)
def ranked_mask(
    index: Tensor,
    scores: Tensor,
    visible: int,
    hard: int,
    lowest: bool,
    seed: int,
    step: int,
    view: int,
) -> tuple[Tensor, Tensor, Tensor]:
    out = _empty_beside(index, scores, visible)
    _core.mask.ranked(index, seed, step, view, scores, hard, lowest, *out, stream(index))
    return out


@accepts_numpy
def ranked(
    index: Tensor,
    scores: Tensor,
    visible: int,
    hard: int,
    *,
    hide: Literal["highest", "lowest"] = "highest",
    seed: int = 0,
    step: int = 0,
    view: int = 0,
) -> MaskIds:
    """Hide the `hard` highest scores, and M - hard of the others at random (HPM, Wang et al. 2023).

    So `hard` is the least number of high scores hidden: others may be drawn too.

    Args:
        index: int64 [B], the dataset index of each image, below 2^40.
        scores: [B N], such as a predicted loss.
        visible: V, 0 <= V <= N.
        hard: 0 <= hard <= M; 0 has the distribution of the uniform mask.
        hide: "lowest" hides the lowest scores instead.
        seed, step, view: identify the draw; below 2^63, 2^48 and 2^8.
    Returns:
        MaskIds.
    Raises:
        ValueError: a count or shape is wrong, or a score infinite or NaN; TypeError: a wrong dtype.
    Cost: O(B N), no scratch.
    Example:
        >>> losses = torch.tensor([[0.3, 0.1, 0.9, 0.2]])
        >>> ranked(torch.arange(1), losses, visible=2, hard=2).hidden
        tensor([[0, 2]])
    """
    patches = scores.shape[-1]
    check_count("ranked", "visible", visible, patches, "patches")
    check_count("ranked", "hard", hard, patches - visible, "hidden")
    if hide not in ("highest", "lowest"):
        raise ValueError(f"ranked: hide: expected 'highest' or 'lowest', got {hide!r}; choose one")
    dense = scores.detach().contiguous()
    return MaskIds(*ranked_mask(index, dense, visible, hard, hide == "lowest", seed, step, view))


@op("priority_mask", _empty_beside)
def priority_mask(
    index: Tensor, priority: Tensor, visible: int, seed: int, step: int, view: int
) -> tuple[Tensor, Tensor, Tensor]:
    out = _empty_beside(index, priority, visible)
    _core.mask.priority(index, seed, step, view, priority, *out, stream(index))
    return out


@accepts_numpy
def priority(
    index: Tensor, priority: Tensor, visible: int, *, seed: int = 0, step: int = 0, view: int = 0
) -> MaskIds:
    """Hide the M largest of priority + U[0, 1) (HAP, Yuan et al. 2023).

    A difference of 1 or more decides the order; smaller ones change the odds; equal priorities are
    uniform. The sum is rounded to float32, so above 2^7 noise is coarser than 2^-16, and beyond
    2^24 it vanishes.

    Args:
        index: int64 [B], the dataset index of each image, below 2^40.
        priority: [B N], such as 1 on the body and 0 elsewhere.
        visible: V, 0 <= V <= N.
        seed, step, view: identify the draw; below 2^63, 2^48 and 2^8.
    Returns:
        MaskIds.
    Raises:
        ValueError: a count or shape is wrong, or a priority infinite or NaN.
        TypeError: a wrong dtype.
    Cost: O(B N), no scratch.
    """
    check_count("priority", "visible", visible, priority.shape[-1], "patches")
    return MaskIds(*priority_mask(index, priority.detach().contiguous(), visible, seed, step, view))
