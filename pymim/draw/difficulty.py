"""Draw a ranker's scores, the losses they should predict, and what is hidden (HPM, Wang et al.
2023).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch
from matplotlib import colormaps
from torch import Tensor

from pymim import compatible
from pymim.contracts import Batch, Branch, Draw, Grid, Mask, Source
from pymim.draw.image import save_grid, to_picture
from pymim.forward import Pass
from pymim.method import Method
from pymim.objective import Objective
from pymim.ops import rank

MASKS = 8  # uniform masks that measure the losses of all patches
GREY = 0.55
TIMES = {"start": 0.0, "half-way": 0.5, "end": 1.0}  # shares of the run


@torch.no_grad()
def draw(
    method: Method, batch: Batch, steps: int, path: Path, undo: Callable[[Tensor], Tensor]
) -> bool:
    """Draw a ranker's difficulty of the patches of each image, and the masks that follow it, one
    row per image.

    Columns: the input; the difficulty that the ranker predicts; the losses, each patch's mean over
    the masks that hid it; and the mask at the start, half-way and at the end of a run of `steps`.
    Hidden patches are grey. The most difficult ones, half as many as are hidden, have the colour of
    their difficulty.

    Gives False, and draws nothing, if no ranker gives scores, or no objective has a loss per hidden
    patch.
    """
    objective = _learned(method)
    if method.ranker is None or objective is None:
        return False
    source, seed = objective.sources[0], method.seed
    difficulty = method.ranker(batch, Draw(seed, 0, source.view))
    names = [Draw(seed, round(share * (steps - 1)), source.view) for share in TIMES.values()]
    drawn = [_mask(method, batch, source, name, difficulty) for name in names]
    masks = [mask for mask in drawn if mask is not None]
    if difficulty is None or len(masks) < len(names):
        return False
    view = batch.views[source.view]
    grid, shown = method.encoder.grid(view.shape), undo(view.float())
    guess = colours(difficulty)
    measured = losses(method, objective, batch)
    columns = {
        "input": shown,
        f"difficulty\n(rank correlation {correlation(difficulty, measured):.2f})": _large(
            guess, grid, shown
        ),
        "loss": _large(colours(measured), grid, shown),
    }
    for time, mask in zip(TIMES, masks, strict=True):
        columns[f"mask, {time}"] = _covered(mask, difficulty, guess, grid, shown)
    rows = [
        [to_picture(image, grid[0]) for image in row] for row in zip(*columns.values(), strict=True)
    ]
    save_grid(path, list(columns), rows, blocks=1 if view.ndim == 4 else 2)
    return True


def losses(method: Method, objective: Objective, batch: Batch) -> Tensor:
    """Give the loss of every patch [B N]: the mean over a few uniform masks that hid it."""
    view = objective.sources[0].view
    patches = math.prod(method.encoder.grid(batch.views[view].shape))
    total = torch.zeros(len(batch.index), patches, device=batch.index.device)
    times = torch.zeros_like(total)
    for number in range(MASKS):
        taken = _unguided(method, objective, batch, number)
        for pair in objective(taken):
            mask = taken.asked(objective, pair.source)
            if mask is not None and pair.source.view == view:
                counted = torch.ones_like(pair.losses) if mask.weight is None else mask.weight > 0
                total.scatter_add_(1, mask.predicted, pair.losses.float())
                times.scatter_add_(1, mask.predicted, counted.float())
    return total / times.clamp_min(1)


def _learned(method: Method) -> Objective | None:
    """Give the objective that trains the ranker, or the first with a loss per hidden patch."""
    found = [
        o
        for o in method.objectives
        if o.on == "predicted" and not getattr(o.loss, "together", False)
    ]
    named = [o for o in found if o.name == getattr(method.ranker, "of", "")]
    return next(iter(named + found), None)


def _unguided(method: Method, objective: Objective, batch: Batch, number: int) -> Pass:
    """Start a forward pass under masks that no ranker guides."""

    def look(source: Source) -> Branch:
        view, name = batch.views[source.view], Draw(method.seed + number, 0, source.view)
        mask, grid = _mask(method, batch, source, name, None), method.encoder.grid(view.shape)
        return Branch(source, view, batch.index, name, grid, mask, None, method.encoder(view, mask))

    return Pass(
        batch, 0, {source: look(source) for source in objective.sources}, method.objectives, look
    )


def correlation(scores: Tensor, values: Tensor) -> float:
    """Give Spearman's correlation over each image's patches [B N], averaged over images."""
    first, second = (rank.ranks(x.float()).float() for x in (scores, values))
    first, second = (x - x.mean(1, keepdim=True) for x in (first, second))
    return float(torch.cosine_similarity(first, second, dim=1).mean())


def colours(values: Tensor) -> Tensor:
    """Give colours [B 3 N], dark to bright, from each image's least value to its largest."""
    low, high = values.amin(1, keepdim=True), values.amax(1, keepdim=True)
    scaled = ((values - low) / (high - low).clamp_min(1e-12)).float().cpu().numpy()
    found: Tensor = torch.from_numpy(colormaps["magma"](scaled)[..., :3])
    return found.float().movedim(-1, 1).to(values.device)


def _mask(
    method: Method, batch: Batch, source: Source, name: Draw, difficulty: Tensor | None
) -> Mask | None:
    if method.mask is None:
        return None
    grid = method.encoder.grid(batch.views[source.view].shape)
    return compatible.masks(
        method.mask(batch.named, grid, name, difficulty), method.masks_per_view
    )[source.mask]


def _large(values: Tensor, grid: Grid, shown: Tensor) -> Tensor:
    """Spread values of patches [B C N] over the pixels of `shown`."""
    pixels: Tensor = values.unflatten(2, grid)
    for axis, (cells, side) in enumerate(zip(grid, shown.shape[2:], strict=True), 2):
        pixels = pixels.repeat_interleave(side // cells, axis)
    return pixels


def _covered(mask: Mask, difficulty: Tensor, guess: Tensor, grid: Grid, shown: Tensor) -> Tensor:
    hidden = mask.boolean(difficulty.shape[1])
    hardest = torch.zeros_like(hidden).scatter_(
        1, difficulty.topk(mask.hidden.shape[1] // 2)[1], True
    )
    cover = torch.where((hidden & hardest)[:, None], guess, GREY)
    channels = shown[:, :3] if shown.shape[1] > 2 else shown[:, :1].expand(-1, 3, *shown.shape[2:])
    return torch.where(_large(hidden[:, None], grid, shown), _large(cover, grid, shown), channels)
