"""Draw what an encoder under a mask sees, and what its objective predicts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pymim.contracts import (
    Batch,
    Branch,
    Encoder,
    Mask,
    Pastes,
    PredictsAll,
    ShowsPixels,
)
from pymim.draw.image import save_grid, to_picture
from pymim.forward import Pass
from pymim.layers.patch import cells, patchify, unpatchify
from pymim.method import Method
from pymim.objective import Objective

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

GREY = 0.55
Undo = Callable[[Tensor], Tensor]


@torch.no_grad()
def draw(method: Method, batch: Batch, step: int, path: Path, undo: Undo) -> bool:
    """Draw input, visible part, prediction, and prediction pasted into the input, one row per
    image; without a mask, input and prediction.

    `undo` maps normalised views back to [0, 1]. Gives False, and draws nothing, if no objective
    predicts something that can be shown as pixels.
    """
    branches = method.encode(batch, step)
    for objective in method.objectives:
        branch, target = branches[objective.sources[0]], objective.target
        whole = branch.mask is not None or objective.on == "all"
        if whole and isinstance(target, ShowsPixels):
            columns = _columns(method.encoder, objective, target, branch, undo)
            rows = [
                [to_picture(image) for image in row] for row in zip(*columns.values(), strict=True)
            ]
            save_grid(path, list(columns), rows, blocks=2)
            return True
    return False


def _columns(
    encoder: Encoder, objective: Objective, target: ShowsPixels, branch: Branch, undo: Undo
) -> dict[str, Tensor]:
    view, mask = branch.view, branch.mask
    predicted = undo(unpatchify(_everywhere(objective, target, branch), branch.grid, target.patch))
    shown = undo(target.shown(view).float())
    if mask is None:
        return {"input": shown, "prediction": predicted}
    hidden = cells(mask.boolean(torch.Size(branch.grid).numel()), branch.grid, target.patch)
    seen = encoder.seen(view, mask)
    if seen is None:
        looks = {"visible": shown.masked_fill(hidden, GREY)}
    else:
        looks = {"seen": undo(target.shown(seen).float())}
    return {
        "input": shown,
        **looks,
        "prediction": predicted,
        "pasted": _pasted(mask, hidden, predicted, shown),
    }


def _pasted(mask: Mask, hidden: Bool[Tensor, "B 1 *S"], predicted: Tensor, shown: Tensor) -> Tensor:
    """Paste the prediction where something was hidden: patches, or what else the mask drew."""
    if isinstance(mask.extra, Pastes):
        return mask.extra.pasted(predicted, shown)
    return torch.where(hidden, predicted, shown)


def _everywhere(
    objective: Objective, target: ShowsPixels, branch: Branch
) -> Float[Tensor, "B N P"]:
    """Predict the pixels of every patch, including visible ones, though they are untrained. What
    reads an earlier prediction can predict the patches of that one alone.
    """
    predictor, mask = objective.predictor, branch.mask
    if mask is not None and objective.before is None and isinstance(predictor, PredictsAll):
        features = branch.features.at(objective.tap)
        values = predictor.predict_all(features, mask, branch.grid)
        return target.to_pixels(values, branch.view, None)
    batch = Batch([branch.view], branch.index, branch.index)
    taken = Pass(batch, branch.draw.step, {branch.source: branch}, [objective])
    values = taken.prediction(objective, branch.source).values
    asked = taken.asked(objective, branch.source)
    if asked is None:
        return target.to_pixels(values, branch.view, None)
    pixels = target.to_pixels(values, branch.view, asked.predicted)
    patches = patchify(target.shown(branch.view).float(), target.patch, last=True)
    return patches.scatter(1, asked.predicted[..., None].expand_as(pixels), pixels)
