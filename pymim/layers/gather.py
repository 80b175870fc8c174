"""Tokens from their places in the grid, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float, Int


def gather(tokens: Float[Tensor, "B N D"], ids: Int[Tensor, "B V"]) -> Float[Tensor, "B V D"]:
    """tokens[b, ids[b, v]]. By flat ids: one index_select, whose backward is one index_add."""
    b, n, d = tokens.shape
    first = torch.arange(0, b * n, n, device=ids.device)[:, None]
    return tokens.reshape(b * n, d).index_select(0, (ids + first).flatten()).view(b, -1, d)


def rows(table: Float[Tensor, "1 N D"], ids: Int[Tensor, "B V"] | None) -> Tensor:
    """Give the table's rows of these ids, [B V D]; None: all, [1 N D]."""
    return table if ids is None else table[0][ids]


def raster(tokens: Float[Tensor, "B N D"], ids: Int[Tensor, "B N"]) -> Float[Tensor, "B N D"]:
    """The inverse of `gather`, for ids that are a permutation: token n of image b goes to ids[b, n]."""
    return gather(tokens, ids.argsort(1))
