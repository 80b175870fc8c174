"""Draw the pictures of a run, while it trains and when it ends."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pymim.checks import whole
from pymim.draw import agreement, clusters, curves, difficulty, features, nearest, reconstruction
from pymim.errors import ConfigError, memory_of
from pymim.io import Folder
from pymim.layers.eval_mode import eval_mode
from pymim.views.normalise import OVERSHOOT, Normalise

if TYPE_CHECKING:
    from pymim.train import Trainer


class Pictures:
    """Write a run's pictures/ folder: features-N.png and curves.png, and what else the method has.

    Those are reconstruction-N.png, difficulty-N.png, clusters-N.png, nearest-N.png and
    agreement.png.

    Args:
        images: number of images drawn, the run's first; half as many clips, whose frames take more
            room.
    """

    def __init__(self, images: int = 12) -> None:
        whole(self, 1, images=images)
        self.images = images

    def __call__(self, trainer: Trainer, folder: Folder, step: int) -> None:
        """Draw and write the pictures.

        Raises:
            OutOfMemory: memory is too small to draw them.
        """
        with memory_of("Pictures", f"lower draw.Pictures.images ({self.images})"):
            self._draw(trainer, folder, step)

    @torch.no_grad()
    def _draw(self, trainer: Trainer, folder: Folder, step: int) -> None:
        batch = next(trainer.loader.batches(0, 1))
        shown = self.images if batch.views[0].ndim == 4 else max(1, self.images // 2)
        batch = batch.split(shown)[0].to(trainer.world.device)
        normalise = ranged(trainer.loader.views[0].normalise, batch.views[0])
        undo = normalise.undo
        at, name = folder / "pictures", f"{step:08d}.png"
        method, source = trainer.method, trainer.loader.source
        drawings: dict[str, Callable[[Path], bool]] = {
            "reconstruction": lambda path: reconstruction.draw(method, batch, 0, path, undo),
            "difficulty": lambda path: difficulty.draw(method, batch, trainer.steps, path, undo),
            "clusters": lambda path: clusters.draw(method, batch, path, undo),
            "nearest": lambda path: nearest.draw(method, source, path, normalise.to_unit),
        }
        with eval_mode(method):
            drawn = [
                word
                for word, drawing in drawings.items()
                if _drawn(word, drawing, at / f"{word}-{name}")
            ]
            features.draw(trainer.encoder, batch, at / f"features-{name}", undo)
        drawn += ["agreement"] if agreement.draw(folder, at / "agreement.png") else []
        curves.draw(folder, at / "curves.png")
        what = ", ".join([*drawn, "features and curves"])
        print(f"pictures: {what} in {at}", file=sys.stderr)  # noqa: T201


def ranged(normalise: Normalise, view: Tensor) -> Normalise:
    """Give the normalisation that maps this view back to [0, 1].

    It uses the source's range. If that is unknown and pixels are far outside [0, 1], it uses the
    view's range and says so.
    """
    pixels = normalise.undo(view.float())
    low, high = float(pixels.min()), float(pixels.max())
    if normalise.range is not None or (low > -OVERSHOOT and high < 1 + OVERSHOOT):
        return normalise
    print(  # noqa: T201
        f"pictures: the range of the pixels is unknown: {low:.4g} is drawn black and {high:.4g} "
        "white",
        file=sys.stderr,
    )
    found = copy.copy(normalise)
    found.range = (low, high)
    return found


def _drawn(name: str, drawing: Callable[[Path], bool], path: Path) -> bool:
    """Draw a picture, and tell whether it was drawn. A missing file, such as a frozen encoder's,
    leaves out this one only.
    """
    try:
        return drawing(path)
    except ConfigError as error:
        print(f"pictures: {name} is not drawn: {error}", file=sys.stderr)  # noqa: T201
        return False
