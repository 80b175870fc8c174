"""Draw maps of the clusters that patches are assigned to, one colour per cluster; for a clip,
through time.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from pathlib import Path

import torch
from matplotlib import colormaps
from torch import Tensor

from pymim.contracts import Asked, AssignsClusters, Batch, GivesCodes, Grid, Made
from pymim.draw.image import save_grid, to_picture
from pymim.method import Method
from pymim.objective import Objective


@torch.no_grad()
def draw(method: Method, batch: Batch, path: Path, undo: Callable[[Tensor], Tensor]) -> bool:
    """Draw each picture beside its map of clusters; for a clip, frames above the maps of their
    tubes.

    `undo` maps normalised views back to [0, 1]. Gives False, and draws nothing, if no objective
    assigns patches to clusters, and the encoder gives no codes.
    """
    for objective in method.objectives:
        number = objective.sources[0].view if objective.views is None else objective.views[0]
        view = batch.views[number]
        ids = assigned(objective, batch, number)
        if ids is None and isinstance(method.encoder, GivesCodes):
            ids = method.encoder.codes(method.encoder(view))
        if ids is not None:
            pictures = (
                undo(view) if view.ndim == 4 else undo(view)[:, :, :: method.encoder.patch[0]]
            )
            maps = _spread(colours(ids), method.encoder.grid(view.shape), method.encoder.patch)
            rows = [
                [to_picture(image), to_picture(colour)]
                for image, colour in zip(pictures, maps, strict=True)
            ]
            save_grid(path, ["input", "clusters"], rows, blocks=4 if view.ndim == 4 else 2)
            return True
    return False


def assigned(objective: Objective, batch: Batch, number: int) -> Tensor | None:
    """Give the cluster of every patch of view `number`, int64 [B N], from the objective's target or
    its loss.
    """
    target, loss = objective.target, objective.loss
    if isinstance(target, AssignsClusters):
        found: Tensor = target.assignments(batch.views[number])
        return found
    if isinstance(loss, AssignsClusters):
        values = target(Asked(batch, number, None, 0))
        by_loss: Tensor = loss.assignments(values.values if isinstance(values, Made) else values)
        return by_loss
    return None


def colours(ids: Tensor) -> Tensor:
    """Give colours [... 3] of the ids: the commonest ids get the most distinct colours."""
    places, counts = ids.unique(return_inverse=True, return_counts=True)[1:]
    order = counts.argsort(descending=True, stable=True).argsort()
    table = torch.tensor([_colour(number) for number in range(len(counts))])
    return table[order.cpu()][places.cpu()]


def _spread(colours: Tensor, grid: Grid, patch: tuple[int, ...]) -> Tensor:
    """Turn colours of patches [B N 3] into pictures [B 3 H W], or for tubes [B 3 T H W], one
    picture per tube.
    """
    maps = colours.unflatten(1, grid).movedim(-1, 1)
    out: Tensor = maps.repeat_interleave(patch[-2], -2).repeat_interleave(patch[-1], -1)
    return out


def _colour(number: int) -> tuple[float, float, float]:
    """Give one of matplotlib's twenty colours, strong ones first, then hues by the golden angle."""
    if number < 20:
        strong_first = 2 * number if number < 10 else 2 * number - 19
        return colormaps["tab20"](strong_first)[:3]
    return colorsys.hls_to_rgb(
        number * 0.618034 % 1, 0.35 + 0.15 * (number % 3), 0.45 + 0.25 * (number % 2)
    )
