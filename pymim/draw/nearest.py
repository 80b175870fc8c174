"""Draw what clusters of pictures contain: the pictures nearest to their centroids."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from pymim.data.reading import read
from pymim.data.source import Source
from pymim.draw.image import save, to_picture
from pymim.method import Method
from pymim.targets.table import Table
from pymim.views import Center

CLUSTERS, PICTURES = 12, 10


def draw(method: Method, source: Source, path: Path, unit: Callable[[Tensor], Tensor]) -> bool:
    """Draw the pictures nearest to the centroids of twelve clusters of the first set.

    Clusters are evenly spaced by size, largest first. If the source has labels, captions name the
    commonest in the cluster. `unit` maps pixels of the source to [0, 1]. Gives False, and draws
    nothing, if no objective has a table of clusters, or it is not made yet.
    """
    tables = [
        objective.target for objective in method.objectives if isinstance(objective.target, Table)
    ]
    if not tables or (tables[0].labels < 0).any():
        return False
    labels, distances = tables[0].labels[0].cpu(), tables[0].distances[0].cpu()
    encoder = method.encoder
    size = [cells * side for cells, side in zip(encoder.base[-2:], encoder.patch[-2:], strict=True)]
    view = Center((size[0], size[1]), statistics="none")
    chosen = _chosen(labels)
    height = -(-len(chosen) // 2)
    figure = Figure(figsize=(12, 0.85 * height + 0.1), layout="constrained")
    axes = figure.subplots(height, 2, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for number, cluster in enumerate(chosen):
        members = (labels == cluster).nonzero()[:, 0]
        nearest = members[distances[members].argsort(stable=True)][:PICTURES]
        axis = axes[number % height, number // height]
        axis.imshow(_strip(source, nearest, view, unit), interpolation="nearest")
        axis.set_title(_caption(source, members), fontsize=8, loc="left", pad=2, parse_math=False)
    save(figure, path)
    return True


def _chosen(labels: Tensor) -> list[int]:
    """Choose non-empty clusters evenly by size, largest first."""
    sizes = labels.bincount()
    ranked = sizes.argsort(descending=True, stable=True)[: int((sizes > 0).sum())]
    places = torch.linspace(0, len(ranked) - 1, min(CLUSTERS, len(ranked))).round().long()
    return [int(cluster) for cluster in ranked[places]]


def _strip(
    source: Source, index: Tensor, view: Center, unit: Callable[[Tensor], Tensor]
) -> np.ndarray:
    """Put pictures side by side with white gaps; white also fills missing ones."""
    images = read(source, index.numpy(), limit=len(source)).images
    assert images is not None, "as many may be broken as there are"
    shown = [to_picture(image) for image in unit(view(images))]
    blank = np.ones_like(shown[0])
    gap = np.ones((blank.shape[0], max(1, blank.shape[1] // 16), 3), np.float32)
    return np.concatenate(
        [part for image in [*shown, *[blank] * PICTURES][:PICTURES] for part in (image, gap)], 1
    )


def _caption(source: Source, members: Tensor) -> str:
    count = f"{len(members)} pictures"
    if source.labels is None or source.classes is None:
        return count
    labels = source.labels[members.numpy()]
    classes, sizes = np.unique(labels[labels >= 0], return_counts=True)
    if not len(classes):
        return f"{count}, without labels"
    commonest = source.classes[int(classes[sizes.argmax()])]
    return f"{count}, {sizes.max() / len(members):.0%} of class {commonest}"
