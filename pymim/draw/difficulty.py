"""What a ranker expects to be hard, what is hard, and what is hidden for it (HPM, Wang et al. 2023)."""

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

DRAWS = 8  # uniform masks, by whose hidden patches the losses of all are measured
GREY = 0.55
MOMENTS = {"start": 0.0, "half-way": 0.5, "end": 1.0}  # of the run


@torch.no_grad()
def draw(method: Method, batch: Batch, steps: int, path: Path, undo: Callable[[Tensor], Tensor]) -> bool:
    """Input; difficulty as the ranker sees it, and the losses themselves, each patch's mean over the masks that hid
    it; and the mask at the start, half-way and at the end of a run of `steps`: hidden patches are grey, and those
    among the most difficult, half as many as are hidden, in the colour of their difficulty. A row an image.

    False, and nothing drawn, where no ranker has an opinion.
    """
    view, seed = batch.views[0], method.seed
    difficulty = None if method.ranker is None else method.ranker(batch, Draw(seed, 0))
    objective = next((o for o in method.objectives if o.on == "predicted" and o.sources == [Source(0)]), None)
    if difficulty is None or objective is None:
        return False
    grid = method.encoder.grid(view.shape)
    measured = losses(method, objective, batch, grid)
    shown = undo(view.float())
    guess = colours(difficulty)
    columns = {
        "input": shown,
        f"predicted loss\n(rank correlation {correlation(difficulty, measured):.2f})": _large(guess, grid, shown),
        "loss": _large(colours(measured), grid, shown),
    }
    for moment, share in MOMENTS.items():
        mask = _mask(method, batch, grid, Draw(seed, round(share * (steps - 1))), difficulty)
        columns[f"mask, {moment}"] = _covered(mask, difficulty, guess, grid, shown)
    rows = [[to_picture(image, grid[0]) for image in row] for row in zip(*columns.values(), strict=True)]
    save_grid(path, list(columns), rows, blocks=1 if view.ndim == 4 else 2)
    return True


def losses(method: Method, objective: Objective, batch: Batch, grid: Grid) -> Tensor:
    """Loss of every patch [B N], the mean over those of a few uniform masks that hid it."""
    total = torch.zeros(len(batch.index), math.prod(grid), device=batch.index.device)
    times = torch.zeros_like(total)
    for number in range(DRAWS):
        mask = _mask(method, batch, grid, Draw(method.seed, 0, number), None)
        name, view = Draw(method.seed, 0, number), batch.views[0]
        branch = Branch(Source(0), view, batch.index, name, grid, mask, None, method.encoder(view, mask))
        found = objective(Pass(batch, 0, {Source(0): branch}, method.objectives))[0].losses
        total.scatter_add_(1, mask.predicted, found.float())
        times.scatter_add_(1, mask.predicted, torch.ones_like(found, dtype=torch.float32))
    return total / times.clamp_min(1)


def correlation(scores: Tensor, values: Tensor) -> float:
    """Spearman's, of each image's patches [B N]; the mean over the images."""
    first, second = (rank.ranks(x.float()).float() for x in (scores, values))
    first, second = (x - x.mean(1, keepdim=True) for x in (first, second))
    return float(torch.cosine_similarity(first, second, dim=1).mean())


def colours(values: Tensor) -> Tensor:
    """[B 3 N], dark to bright, each image's [B N] from its least to its largest."""
    low, high = values.amin(1, keepdim=True), values.amax(1, keepdim=True)
    scaled = ((values - low) / (high - low).clamp_min(1e-12)).float().cpu().numpy()
    found: Tensor = torch.from_numpy(colormaps["magma"](scaled)[..., :3])
    return found.float().movedim(-1, 1).to(values.device)


def _mask(method: Method, batch: Batch, grid: Grid, name: Draw, difficulty: Tensor | None) -> Mask:
    assert method.mask is not None, "there is a ranker"
    mask = compatible.masks(method.mask(batch.index, grid, name, difficulty), method.draws)[0]
    assert mask is not None, "an objective is on its predicted patches"
    return mask


def _large(values: Tensor, grid: Grid, shown: Tensor) -> Tensor:
    """Values [B C N] of patches as pixels of `shown`."""
    pixels: Tensor = values.unflatten(2, grid)
    for axis, (cells, side) in enumerate(zip(grid, shown.shape[2:], strict=True), 2):
        pixels = pixels.repeat_interleave(side // cells, axis)
    return pixels


def _covered(mask: Mask, difficulty: Tensor, guess: Tensor, grid: Grid, shown: Tensor) -> Tensor:
    hidden = mask.boolean(difficulty.shape[1])
    hardest = torch.zeros_like(hidden).scatter_(1, difficulty.topk(mask.hidden.shape[1] // 2)[1], True)
    cover = torch.where((hidden & hardest)[:, None], guess, GREY)
    channels = shown[:, :3] if shown.shape[1] > 2 else shown[:, :1].expand(-1, 3, *shown.shape[2:])
    return torch.where(_large(hidden[:, None], grid, shown), _large(cover, grid, shown), channels)
