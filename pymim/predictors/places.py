"""Find which patches the encoder's tokens stand for, and which patches have no token."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pymim.contracts import Features, Grid, Mask
from pymim.layers.gather import gather

if TYPE_CHECKING:
    from jaxtyping import Float, Int


def token_ids(features: Features, grid: Grid) -> Int[Tensor, "B V"] | None:
    """Give the patch ids of the tokens; None: all patches in raster order.

    Raises:
        ValueError: tokens are missing and `Features.ids` does not say which.
    """
    ids, count = features.ids, features.tokens.shape[1]
    if count != (math.prod(grid) if ids is None else ids.shape[1]):
        got = "none" if ids is None else str(ids.shape[1])
        raise ValueError(
            f"predictor: features: expected ids of {count} tokens on a grid of {grid}, got {got}; "
            "let the encoder set Features.ids to the patches that it encodes"
        )
    return ids


def without_token(ids: Int[Tensor, "B V"], mask: Mask | None, grid: Grid) -> Int[Tensor, "B U"]:
    """Give the ids of patches without a token, ascending. If tokens are the visible ones, those are
    the hidden ones.
    """
    if mask is not None and ids is mask.visible:
        return mask.hidden
    patches = math.prod(grid)
    known = torch.zeros(len(ids), patches, dtype=torch.int8, device=ids.device).scatter_(1, ids, 1)
    order: Tensor = known.argsort(dim=1, stable=True)
    return order[:, : patches - ids.shape[1]]


def asked_tokens(features: Features, mask: Mask | None, grid: Grid) -> Float[Tensor, "B M D"]:
    """Give the encoder's tokens of `mask.predicted`, or of every patch if the mask is None.

    Raises:
        ValueError: a patch has no token.
    """
    ids = token_ids(features, grid)
    if ids is None:
        return features.tokens if mask is None else gather(features.tokens, mask.predicted)
    if mask is None:
        raise _missing()
    if mask.predicted is ids:
        return features.tokens
    table = torch.full((len(ids), math.prod(grid)), -1, device=ids.device)
    numbers = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
    places = table.scatter_(1, ids, numbers).gather(1, mask.predicted)
    if not places.is_meta and bool((places < 0).any()):
        raise _missing()
    return gather(features.tokens, places)


def _missing() -> ValueError:
    return ValueError(
        "OneLayer: features: expected a token for every predicted patch, got patches without one; "
        "set ViT.hidden = 'token', or use predictors.Transformer"
    )
