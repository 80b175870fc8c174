"""Gather tokens by patch ids, and put them back in raster order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float, Int


def gather(tokens: Float[Tensor, "B N D"], ids: Int[Tensor, "B V"]) -> Float[Tensor, "B V D"]:
    """Give tokens[b, ids[b, v]]. Flat ids make it one index_select, whose backward is one
    index_add.
    """
    images, patches = tokens.shape[:2]
    first = torch.arange(0, images * patches, patches, device=ids.device)[:, None]
    chosen = tokens.flatten(0, 1).index_select(0, (ids + first).flatten())
    return chosen.view(images, -1, tokens.shape[2])


def rows(table: Float[Tensor, "1 N D"], ids: Int[Tensor, "B V"] | None) -> Tensor:
    """Give the table's rows at these ids, [B V D]; all rows [1 N D] for None."""
    return table if ids is None else table[0][ids]


def raster(tokens: Float[Tensor, "B N D"], ids: Int[Tensor, "B N"]) -> Float[Tensor, "B N D"]:
    """Invert `gather`, for ids that are a permutation: token n of image b moves to ids[b, n]."""
    return gather(tokens, ids.argsort(1))
