"""Convert tensors to images, and save them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from pymim.io.disk import write_whole

Picture = NDArray[np.float32]  # [H W 3] in [0, 1]
MOST = 8  # most frames of a strip


def to_picture(image: Tensor, frames: int = MOST) -> Picture:
    """Convert an image [C H W] in [0, 1] to RGB; with many channels, the first three.

    A clip [C T H W] becomes a strip of at most `frames` of its frames, evenly spread, side by side.
    """
    if image.ndim == 4:
        places = torch.linspace(0, image.shape[1] - 1, min(frames, image.shape[1])).round().long()
        image = torch.cat(list(image[:, places].unbind(1)), 2)
    pixels = image[:3] if len(image) > 2 else image[:1].expand(3, -1, -1)
    return pixels.float().cpu().clamp(0, 1).permute(1, 2, 0).numpy()


def save_grid(
    path: Path, columns: Sequence[str], rows: Sequence[Sequence[Picture]], blocks: int = 1
) -> None:
    """Save rows of pictures under column titles, in `blocks` groups side by side.

    Strips of a clip are stacked instead, each beside its title.
    """
    high, wide = rows[0][0].shape[:2]
    strips = wide >= 2 * high
    down, across = (len(columns), 1) if strips else (1, len(columns))
    height, width = -(-len(rows) // blocks) * down, blocks * across
    side = 0.6 * wide / high + 0.8 if strips else 1.5
    figure = Figure(
        figsize=(side * width, (0.62 if strips else 1.5) * height + 0.35), layout="constrained"
    )
    axes = figure.subplots(height, width, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for number, row in enumerate(rows):
        block, line = divmod(number * down, height)
        for k, (title, picture) in enumerate(zip(columns, row, strict=True)):
            axis = axes[line + k, block] if strips else axes[line, block * across + k]
            axis.imshow(picture, interpolation="nearest")
            if strips:
                axis.text(
                    -0.02, 0.5, title, fontsize=8, ha="right", va="center", transform=axis.transAxes
                )
            elif line == 0:
                axis.set_title(title, fontsize=9)
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, completely or not at all.

    Raises:
        Unwritable: the file cannot be written.
    """
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=110)
    write_whole(path, drawn.getvalue())
