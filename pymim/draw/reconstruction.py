"""What a masked autoencoder sees and what it makes of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from pymim.contracts import Batch, Branch
from pymim.draw.image import save_grid, to_picture
from pymim.layers.patch import patchify, unpatchify
from pymim.method import Method
from pymim.objective import Objective

GREY = 0.55


@torch.no_grad()
def draw(method: Method, batch: Batch, step: int, path: Path, undo: Callable[[Tensor], Tensor]) -> bool:
    """Input, masked input, prediction, and prediction pasted into the input, a row an image.

    `undo` takes normalised views back to [0, 1]. False, and nothing drawn, where no objective predicts something
    that can be shown as pixels.
    """
    branches = method.encode(batch, step)
    for objective in method.objectives:
        branch = branches[objective.sources[0]]
        if branch.mask is not None and hasattr(objective.target, "to_pixels"):
            _draw(objective, branch, batch, path, undo)
            return True
    return False


def _draw(objective: Objective, branch: Branch, batch: Batch, path: Path, undo: Callable[[Tensor], Tensor]) -> None:
    view, patch = branch.view, _patch(objective)
    predicted = undo(unpatchify(_everywhere(objective, branch, view), branch.grid, patch))
    shown = undo(_shown(objective, view).float())
    assert branch.mask is not None
    flat = patchify(shown, patch, last=True)
    hidden = branch.mask.boolean(flat.shape[1])[..., None].expand_as(flat)
    hidden = unpatchify(hidden, branch.grid, patch)
    columns = {
        "input": shown,
        "visible": shown.masked_fill(hidden, GREY),
        "prediction": predicted,
        "pasted": torch.where(hidden, predicted, shown),
    }
    rows = [[to_picture(image) for image in row] for row in zip(*columns.values(), strict=True)]
    save_grid(path, list(columns), rows, blocks=2)


def _patch(objective: Objective) -> tuple[int, ...]:
    return objective.target.patch  # type: ignore[return-value]


def _shown(objective: Objective, view: Tensor) -> Tensor:
    """What of the view is predicted."""
    return objective.target.shown(view)  # type: ignore[operator, no-any-return]


def _everywhere(objective: Objective, branch: Branch, view: Tensor) -> Tensor:
    """Predicted pixels of every patch [B N P]; of visible ones too, though they are untrained."""
    assert branch.mask is not None
    to_pixels: Callable[..., Tensor] = objective.target.to_pixels  # type: ignore[assignment]
    if hasattr(objective.predictor, "everywhere"):
        values = objective.predictor.everywhere(  # type: ignore[operator]
            branch.features, branch.mask, branch.grid
        )
        return to_pixels(values, view, None)
    values = objective.predictor(branch.features, branch.mask, branch.grid)
    pixels = to_pixels(values, view, branch.mask.predicted)
    patches = patchify(_shown(objective, view).float(), _patch(objective), last=True)
    return patches.scatter(1, branch.mask.predicted[..., None].expand_as(pixels), pixels)
