"""Tensors to what an eye can see."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

Picture = NDArray[np.float32]  # [H W 3] in [0, 1]


def to_picture(image: Tensor) -> Picture:
    """One image [C H W] or clip [C T H W] (its middle frame) on [0, 1] as RGB; of many channels the first three."""
    pixels = image[:, image.shape[1] // 2] if image.ndim == 4 else image
    pixels = pixels[:3] if len(pixels) > 2 else pixels[:1].expand(3, -1, -1)
    return pixels.float().cpu().clamp(0, 1).permute(1, 2, 0).numpy()


def save_grid(path: Path, columns: Sequence[str], rows: Sequence[Sequence[Picture]], blocks: int = 1) -> None:
    """Rows of pictures under column titles, in `blocks` groups side by side."""
    height = -(-len(rows) // blocks)
    width = len(columns) * blocks
    figure = Figure(figsize=(1.5 * width, 1.5 * height + 0.35), layout="constrained")
    axes = figure.subplots(height, width, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for number, row in enumerate(rows):
        block, line = divmod(number, height)
        for column, picture in enumerate(row):
            axis = axes[line, block * len(columns) + column]
            axis.imshow(picture, interpolation="nearest")
            if line == 0:
                axis.set_title(columns[column], fontsize=9)
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Writes a figure as PNG, whole: beside, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}")
    figure.savefig(beside, format="png", dpi=110)
    beside.replace(path)
