"""The pictures of a run, drawn while it trains and when it ends."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import torch

from pymim.draw import agreement, clusters, curves, difficulty, features, nearest, reconstruction
from pymim.io import Folder
from pymim.layers.still import still

if TYPE_CHECKING:
    from pymim.train import Trainer


class Pictures:
    """Writes pictures/reconstruction-N.png, difficulty-N.png, clusters-N.png, nearest-N.png and agreement.png, as
    far as the method has them, features-N.png and curves.png, for the run's first `images` images, or half as many
    clips, whose frames take more room."""

    def __init__(self, images: int = 12) -> None:
        self.images = images

    @torch.no_grad()
    def __call__(self, trainer: Trainer, folder: Folder, step: int) -> None:
        batch = next(trainer.loader.batches(0, 1))
        shown = self.images if batch.views[0].ndim == 4 else max(1, self.images // 2)
        batch = batch.split(shown)[0].to(trainer.world.device)
        undo = trainer.loader.views[0].normalise.undo
        at, name = folder / "pictures", f"{step:08d}.png"
        with still(trainer.method):
            drawn = {
                "reconstruction": reconstruction.draw(
                    trainer.method, batch, 0, at / f"reconstruction-{name}", undo
                ),
                "difficulty": difficulty.draw(
                    trainer.method, batch, trainer.steps, at / f"difficulty-{name}", undo
                ),
                "clusters": clusters.draw(trainer.method, batch, at / f"clusters-{name}", undo),
                "nearest": nearest.draw(trainer.method, trainer.loader.source, at / f"nearest-{name}"),
                "agreement": agreement.draw(folder, at / "agreement.png"),
            }
            features.draw(trainer.encoder, batch, at / f"features-{name}", undo)
        curves.draw(folder, at / "curves.png")
        what = ", ".join([*(word for word, done in drawn.items() if done), "features and curves"])
        print(f"pictures: {what} in {at}", file=sys.stderr)  # noqa: T201
