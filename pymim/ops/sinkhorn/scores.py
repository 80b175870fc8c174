"""Scores to transport by: a tensor, or features and prototypes whose products are the scores."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from pymim import _core


class Product(NamedTuple):
    """Scores features @ prototypes^T that are never stored whole, so memory is linear in B and K.

    Factors of half precision are multiplied exactly and summed in float32, unlike a product in half
    precision.
    """

    features: Tensor  # [B D] or [S B D]
    prototypes: Tensor  # [K D], or [S K D] if every problem has its own


def problems(scores: Tensor | Product) -> tuple[Tensor | Product, bool]:
    """Give the scores as [S B K], or a product of [S B D] with [S K D] or [1 K D]; and True for one
    problem.

    Raises:
        ValueError: the axes, widths or devices do not fit; TypeError: no tensor, or integers.
    """
    values, prototypes = apart(scores)
    if isinstance(scores, Product) and prototypes is None:
        raise TypeError(
            "sinkhorn: prototypes: expected a tensor or array, got NoneType; pass the scores alone"
        )
    if values.ndim not in (2, 3):
        raise ValueError(
            f"sinkhorn: scores: expected [B K] or [S B K], got {values.ndim} axes, "
            "also of features; reshape them"
        )
    single = values.ndim == 2
    if prototypes is None:
        return values[None] if single else values, single
    return _product(values, prototypes), single


def _product(features: Tensor, prototypes: Tensor) -> Product:
    kinds = [f"width {each.shape[-1]} on {each.device}" for each in (features, prototypes)]
    if prototypes.ndim not in (2, features.ndim) or kinds[0] != kinds[1]:
        raise ValueError(
            "sinkhorn: prototypes: expected [K D], or [S K D] for each problem, "
            f"of {kinds[0]} as the features, got {prototypes.ndim} axes, {kinds[1]}; "
            "move or reshape them"
        )
    dtype = torch.promote_types(features.dtype, prototypes.dtype)
    if not dtype.is_floating_point:
        raise TypeError(
            f"sinkhorn: scores: expected features of dtype float32, got {dtype}; convert them first"
        )
    given = [each.detach().to(dtype).contiguous() for each in (features, prototypes)]
    features, prototypes = (each[None] if each.ndim == 2 else each for each in given)
    if len(prototypes) not in (1, len(features)):
        raise ValueError(
            f"sinkhorn: prototypes: expected those of {len(features)} problems, "
            f"got {len(prototypes)}; pass [K D] for all"
        )
    return Product(features, prototypes)


def apart(scores: Tensor | Product) -> tuple[Tensor, Tensor | None]:
    """Give (scores, None), or (features, prototypes), as the core takes them."""
    return (scores, None) if isinstance(scores, Tensor) else scores


def in_core(scores: Tensor | Product) -> bool:
    """Tell whether the core takes the scores as they are. It multiplies products on CUDA only;
    elsewhere BLAS does.
    """
    if isinstance(scores, Tensor):
        return True
    return scores.features.is_cuda or scores.features.is_meta or _core.emulated


def shape_of(scores: Tensor, prototypes: Tensor | None) -> tuple[int, int, int]:
    """Give S, B and K."""
    s, b, k = scores.shape
    return s, b, k if prototypes is None else prototypes.shape[1]
