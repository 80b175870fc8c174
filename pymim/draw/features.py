"""A map of the patch features: their first three principal components as red, green and blue."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from pymim.data.batch import Batch
from pymim.draw.image import save_grid, to_picture
from pymim.encoders.encoder import Encoder


@torch.no_grad()
def draw(encoder: Encoder, batch: Batch, path: Path, undo: Callable[[Tensor], Tensor]) -> None:
    """Input and feature map side by side, a row an image; one basis for all of them, so colours compare."""
    view = batch.views[0]
    tokens = encoder(view).tokens.float().cpu()
    grid = encoder.grid(view.shape)
    flat = tokens.flatten(0, 1) - tokens.flatten(0, 1).mean(0)
    _, _, basis = torch.linalg.svd(flat, full_matrices=False)
    parts = flat @ basis[:3].T
    low, high = parts.quantile(0.02, 0), parts.quantile(0.98, 0)
    colours = ((parts - low) / (high - low).clamp_min(1e-9)).clamp(0, 1)
    maps = colours.view(len(view), *grid, 3).movedim(-1, 1)
    rows = [[to_picture(image, grid[0]), to_picture(m, grid[0])] for image, m in zip(undo(view), maps, strict=True)]
    save_grid(path, ["input", "features"], rows, blocks=4)
