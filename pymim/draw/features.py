"""Draw maps of patch features: the first three principal components as red, green and blue."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pymim.contracts import Batch, Encoder
from pymim.draw.image import save_grid, to_picture

if TYPE_CHECKING:
    from jaxtyping import Float


@torch.no_grad()
def draw(encoder: Encoder, batch: Batch, path: Path, undo: Callable[[Tensor], Tensor]) -> None:
    """Draw input, features, and features minus their mean at each place, one row per image.

    Each kind of map has one basis for all images, so colours can be compared. A reconstructing
    encoder's features encode mostly the place, hence the third column.
    """
    view = batch.views[0]
    tokens = encoder(view).tokens.float().cpu()
    grid = encoder.grid(view.shape)
    maps = [_colours(tokens - tokens.mean((0, 1))), _colours(tokens - tokens.mean(0))]
    columns = [undo(view), *(each.view(len(view), *grid, 3).movedim(-1, 1) for each in maps)]
    rows = [[to_picture(cell, grid[0]) for cell in row] for row in zip(*columns, strict=True)]
    save_grid(path, ["input", "features", "beyond place"], rows, blocks=3)


def _colours(tokens: Float[Tensor, "B N D"]) -> Float[Tensor, "B*N 3"]:
    flat = tokens.flatten(0, 1)
    basis = torch.linalg.svd(flat, full_matrices=False).Vh
    parts = flat @ basis[:3].T
    low, high = parts.quantile(0.02, 0), parts.quantile(0.98, 0)
    colours: Tensor = ((parts - low) / (high - low).clamp_min(1e-9)).clamp(0, 1)
    return colours
