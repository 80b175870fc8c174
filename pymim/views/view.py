"""A view cuts a rectangle out of each picture, resizes it, changes its pixels, and normalises.

What it draws is a pure function of (seed, epoch, dataset index, view), so workers, ranks and
resumed runs see the same pixels. Pictures may have any number of channels; all frames of a clip are
treated the same.

A view may draw and show in two steps: `drawn` returns what it draws, `show` the pixels. The loader
keeps what was drawn for targets (`Batch.drawn`) and gives it to views that name this one in `like`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from pymim import checks, philox
from pymim.contracts import Draw
from pymim.errors import ConfigError
from pymim.views.crop import middle, random_boxes, shapes
from pymim.views.normalise import OVERSHOOT, Statistics
from pymim.views.rectangle import Channels, Images, Rectangle

if TYPE_CHECKING:
    from jaxtyping import Int

# By name, first axis B. "box" int64 [B 4]: top, left, height, width; a negative width mirrors.
Drawn = dict[str, Tensor]
CHANGE = 64  # change number k reads the stream from block k * CHANGE on; the crop is number 0


class Change(Protocol):
    """Change float32 pictures [B C ...] on [0, 1], whatever the range of the source.

    It reads the random stream `name` from block `first` on.
    """

    def __call__(self, images: Tensor, name: philox.Name, first: int) -> Tensor: ...


class Pretrain(Rectangle):
    """Crop, resize and flip at random, then apply `changes` in order, then normalise.

    The defaults are MAE's view (He et al. 2022).

    Args:
        size: rows and columns, or one number for both.
        scale, ratio: of the crop's area and aspect. flip: probability.
        channels: of the picture: how many, or which; all by default.
        nearest: channels of the picture that take the nearest pixel: maps of classes or parts.
        like: the number of an earlier view of the loader. This view then has the same picture, crop
            and flip, at its own size, channels and statistics (BEiT's second view, Bao et al.
            2022). scale, ratio and flip are not read.
        same_changes: change k here draws what change k draws in the view `like`.
        kernel: "bicubic" (MAE) or "bilinear" (SwAV, SimMIM, I-JEPA), both with antialiasing as in
            Pillow; or "bilinear-aliased", without it (MAE-ST).
        changes: what is done to the pixels, in order.
        statistics: what pixels are normalised with; see `views.Normalise`.

    Raises: ValueError for same_changes without like; ConfigError for arguments out of range.
    """

    def __init__(
        self,
        size: int | tuple[int, int] = 224,
        scale: tuple[float, float] = (0.2, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        flip: float = 0.5,
        changes: Sequence[Change] = (),
        statistics: Statistics = "imagenet",
        channels: Channels = None,
        nearest: Sequence[int] = (),
        like: int | None = None,
        same_changes: bool = False,
        kernel: str = "bicubic",
    ):
        checks.ascending(self, checks.share, "above 0, to 1", scale=scale)
        checks.ascending(self, checks.positive, ratio=ratio)
        checks.share(self, flip=flip)
        super().__init__(size, statistics, channels, nearest, kernel)
        if same_changes and like is None:
            raise ValueError(
                "Pretrain: same_changes: expected False without like, got True; set like to the "
                "number of the other view"
            )
        self.scale, self.ratio = scale, ratio
        self.flip, self.changes = flip, list(changes)
        self.like, self.same_changes = like, same_changes

    def __call__(self, images: Images, index: Tensor, draw: Draw | None) -> Tensor:
        return self.show(images, index, draw, self.drawn(images, index, draw))

    def drawn(self, images: Images, index: Tensor, draw: Draw | None) -> Drawn:
        """Draw the rectangle of each picture. Raises: ConfigError if this view has `like`."""
        if self.like is not None:
            raise ConfigError(
                f"Pretrain: like: expected a loader that has view {self.like} too, got this view "
                "alone; remove like to use this view alone"
            )
        name = named(index, draw)
        boxes = self.boxes(shapes(images), name)
        mirrored = torch.from_numpy(philox.uniforms(name, 1, first=CHANGE - 1)[:, 0, 0] < self.flip)
        boxes[:, 3] = torch.where(mirrored, -boxes[:, 3], boxes[:, 3])
        return {"box": boxes}

    def boxes(self, shape: Int[Tensor, "B 2"], name: philox.Name) -> Int[Tensor, "B 4"]:
        """Draw a rectangle of each picture: top, left, height, width."""
        return random_boxes(shape, name, self.scale, self.ratio)

    def show(self, images: Images, index: Tensor, draw: Draw | None, drawn: Drawn) -> Tensor:
        """Return the pixels of these rectangles, changed and normalised."""
        name = named(index, draw)
        if self.same_changes and self.like is not None:
            name = name._replace(view=self.like)
        pixels = self.cut(images, drawn["box"])
        return self.normalise(self._changed(pixels, images, name) if self.changes else pixels)

    def _changed(self, pixels: Tensor, images: Images, name: philox.Name) -> Tensor:
        """Apply all changes on [0, 1]. Raises: ConfigError if the pixels' range is unknown."""
        if self.normalise.range is None:
            refuse_beyond(images)
        changed = self.normalise.to_unit(pixels)
        for number, change in enumerate(self.changes, 1):
            changed = change(changed, name, number * CHANGE)
        return self.normalise.from_unit(changed)


class Center(Rectangle):
    """Cut out the middle of each picture, for evaluation: nothing is random.

    size: rows and columns, or one number for both.
    statistics: what pixels are normalised with; see `views.Normalise`.
    channels, nearest, kernel: as of `Pretrain`.
    share: of the shorter side to keep; 224 with 0.875 is torchvision's Resize(256) and
        CenterCrop(224). `channels`, `nearest` and `kernel` as of `Pretrain`.
    """

    def __init__(
        self,
        size: int | tuple[int, int] = 224,
        share: float = 1.0,
        statistics: Statistics = "imagenet",
        channels: Channels = None,
        nearest: Sequence[int] = (),
        kernel: str = "bicubic",
    ):
        checks.share(self, "above 0, to 1", share=share)
        super().__init__(size, statistics, channels, nearest, kernel)
        self.share = share

    def __call__(self, images: Images, index: Any = None, draw: Draw | None = None) -> Tensor:
        return self.normalise(
            self.cut_middle(images, middle(shapes(images), self.size, self.share))
        )

    def drawn(self, images: Images, index: Any = None, draw: Draw | None = None) -> Drawn:
        """Return the rectangle of each picture, to the nearest pixel."""
        shape = shapes(images)
        box = middle(shape, self.size, self.share).boxes(shape, self.size).round().long()
        return {"box": torch.cat((box[:, :2], box[:, 2:].clamp_min(1)), dim=1)}

    def show(self, images: Images, index: Any, draw: Draw | None, drawn: Drawn) -> Tensor:
        """Return the pixels of the middle, normalised, without rounding to `drawn`."""
        return self(images)


def refuse_beyond(images: Images) -> None:
    """Refuse floating-point pictures that are not on [0, 1]. Raises: ConfigError."""
    for image in images if isinstance(images, list) else (images,):
        if image.is_floating_point() and (image.min() < -OVERSHOOT or image.max() > 1 + OVERSHOOT):
            raise ConfigError(
                f"Pretrain: changes: expected pixels on [0, 1], or statistics with a range, got "
                f"{image.min():.4g} to {image.max():.4g}; leave STATISTICS unset to measure the "
                "range, or write it: ((means,), (deviations,), (low, high))"
            )


def named(index: Tensor, draw: Draw | None) -> philox.Name:
    """Name the random stream of each picture. Raises: ValueError if `draw` is None."""
    if draw is None:
        raise ValueError(
            "view: draw: expected a Draw, got None; evaluate with views.Center, which draws nothing"
        )
    return philox.Name(draw.seed, draw.step, index.numpy(), draw.view)
