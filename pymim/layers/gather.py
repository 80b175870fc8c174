"""Tokens from and to their places in the grid."""

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


def place(
    tokens: Float[Tensor, "B V D"], ids: Int[Tensor, "B V"], patches: int, empty: Float[Tensor, "1 1 D"]
) -> Float[Tensor, "B N D"]:
    """The inverse of `gather`: token v of image b stands at ids[b, v], and `empty` everywhere else."""
    b, _, d = tokens.shape
    everywhere = empty.to(tokens.dtype).expand(b, patches, d)
    return everywhere.scatter(1, ids[..., None].expand_as(tokens), tokens)
