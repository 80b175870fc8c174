"""A view is a rectangle of each picture, of one size, then changes of its pixels, then normalised.

Whatever it draws is a pure function of (seed, epoch, dataset index, view): workers, ranks and resumed runs see the
same pixels. Pictures may have any number of channels; of a clip every frame is treated alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from pymim import philox
from pymim.contracts import Draw
from pymim.views.crop import centre_boxes, random_boxes, shapes
from pymim.views.normalise import Normalise, Statistics
from pymim.views.resample import resample

if TYPE_CHECKING:
    from jaxtyping import Float, Int

Images = Tensor | list[Tensor]
CHANGE = 64  # change number k reads the stream from block k * CHANGE on; the crop is number 0


class Change(Protocol):
    """Alters float32 pictures [B C ...] on [0, 1], drawing from the stream `name` from block `first` on."""

    def __call__(self, images: Tensor, name: philox.Name, first: int) -> Tensor: ...


class View(Protocol):
    """uint8 or float pictures, [B C H W] or B times [C h w] of several sizes (and clips [C T H W]) -> one batch.

    index: int64 [B], of the dataset. draw: seed, epoch (as `step`; a number or one for each picture) and view.
    """

    def __call__(
        self, images: Images, index: Int[Tensor, " B"], draw: Draw | None
    ) -> Float[Tensor, "B C *T h w"]: ...


class Pretrain:
    """A random resized crop and flip, then `changes` in order, then `statistics`: with the defaults, MAE's view
    (He et al. 2022).

    size: rows and columns, or one number for both. scale, ratio: of the crop's area and aspect. flip: probability.
    """

    def __init__(
        self,
        size: int | tuple[int, int] = 224,
        scale: tuple[float, float] = (0.2, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        flip: float = 0.5,
        changes: Sequence[Change] = (),
        statistics: Statistics = "imagenet",
    ):
        self.size = pair(size)
        self.scale, self.ratio, self.flip = scale, ratio, flip
        self.changes, self.normalise = list(changes), Normalise(statistics)

    def __call__(self, images: Images, index: Tensor, draw: Draw | None) -> Tensor:
        name = named(index, draw)
        boxes = random_boxes(shapes(images), name, self.scale, self.ratio)
        mirrored = torch.from_numpy(philox.uniforms(name, 1, first=CHANGE - 1)[:, 0, 0] < self.flip)
        boxes[:, 3] = torch.where(mirrored, -boxes[:, 3], boxes[:, 3])
        changed = resample(images, boxes, self.size)
        for number, change in enumerate(self.changes, 1):
            changed = change(changed, name, number * CHANGE)
        return self.normalise(changed)


class Center:
    """The middle of each picture, for evaluation: nothing is random. `share` of its shorter side is kept: the usual
    224 of 256 is 0.875."""

    def __init__(self, size: int | tuple[int, int] = 224, share: float = 1.0, statistics: Statistics = "imagenet"):
        self.size, self.share, self.normalise = pair(size), share, Normalise(statistics)

    def __call__(self, images: Images, index: Any = None, draw: Draw | None = None) -> Tensor:
        return self.normalise(resample(images, centre_boxes(shapes(images), self.size, self.share), self.size))


def pair(size: int | tuple[int, int]) -> tuple[int, int]:
    """Rows and columns."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def named(index: Tensor, draw: Draw | None) -> philox.Name:
    """The stream of each picture."""
    if draw is None:
        raise ValueError("view: draw: expected a Draw, got None; evaluate with views.Center, which draws nothing")
    return philox.Name(draw.seed, draw.step, index.numpy(), draw.view)
