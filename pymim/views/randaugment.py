"""RandAugment for fine-tuning: operations of one magnitude, with probability p.

Source: Cubuk et al. 2020.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pymim import philox
from pymim.checks import finite, share, whole
from pymim.errors import ConfigError
from pymim.views import moved, tones
from pymim.views.change import drawn
from pymim.views.normalise import Normalise, Statistics
from pymim.views.operations import STREAM, Operation, known_names

Move = Callable[[Tensor, int, int], Tensor]  # strength [b], height, width -> matrices [b 2 3]
GREATEST = 10.0  # largest magnitude


class RandAugment:
    """Apply `count` operations in turn, drawn with replacement from `names`.

    Each is applied with probability `p`. The magnitude m of each is drawn from N(magnitude,
    deviation^2) and clamped to 0 to 10. With M = m / 10 and a random sign, the operations are those
    of timm's `rand-m9-mstd0.5-inc1`:

    autocontrast; equalise; invert; rotate by +-30 M degrees; posterise to 4 - floor(4 M) bits;
    solarise from the level 256 - floor(256 M) on; solarise_add floor(110 M) / 255 to the lower
    half; colour, contrast, brightness and sharpness scaled by 1 +- 0.9 M; shear_x, shear_y by +-0.3
    M; translate_x, translate_y by +-0.45 M of the side.

    Args:
        names: of the operations; by default all. Colour and contrast need three channels: for other
            pictures, name operations without them.
        method: interpolation: "nearest", "bilinear" or "bicubic".
        statistics: those of the view; their mean fills what comes from outside the picture.
        count: operations drawn for each picture.
        magnitude: mean strength, from 0 to 10.
        deviation: its standard deviation; 0: the same for all.
        p: the probability of each operation drawn.

    Pictures are float32 on [0, 1], of any size; every frame of a clip is changed by the same
    operations.

    Raises: ConfigError or ValueError for an argument out of range; ConfigError for a colour
    operation on pictures without 3 channels.
    """

    def __init__(
        self,
        count: int = 2,
        magnitude: float = 9.0,
        deviation: float = 0.5,
        p: float = 0.5,
        names: Sequence[str] = (),
        method: str = "bicubic",
        statistics: Statistics = "imagenet",
    ):
        whole(self, 1, 64 // STREAM, count=count)
        finite(self, 0, magnitude=magnitude, deviation=deviation)
        share(self, p=p)
        if magnitude > GREATEST:
            raise ConfigError(
                f"RandAugment: magnitude: expected a number from 0 to 10, got {magnitude}; set 9"
            )
        if method not in moved.METHODS:
            known = ", ".join(moved.METHODS)
            raise ValueError(
                f"RandAugment: method: expected one of {known}, got {method!r}; choose one of them"
            )
        self.count, self.magnitude = count, magnitude
        self.deviation, self.p = deviation, p
        self.names, self.method = known_names("RandAugment", names, NAMES), method
        self.fill = Normalise(statistics).mean

    def __call__(self, images: Tensor, name: philox.Name, first: int) -> Tensor:
        self._check(images.shape[1])
        changed = images.clone()
        for number in range(self.count):
            chance, random = drawn(name, first + STREAM * number, images)
            kinds = (chance.flatten().double() * len(self.names)).long()
            done, strength = self._drawn(random.flatten(1).double())
            for kind, operation in enumerate(self.names):
                some = (done & (kinds == kind)).nonzero()[:, 0]
                if len(some):
                    changed[some] = self.apply(operation, changed[some], strength[some])
        return changed

    def apply(self, operation: str, images: Tensor, strength: Tensor) -> Tensor:
        """Apply an operation to pictures [b C *T H W].

        strength: [b], sign times M, from -1 to 1.
        """
        if operation in MOVES:
            matrix = MOVES[operation](strength, images.shape[-2], images.shape[-1])
            return moved.move(images, matrix, self.method, self.fill)
        return TONES[operation](images, strength).clamp(0, 1)

    def _drawn(self, random: Tensor) -> tuple[Tensor, Tensor]:
        """Return which pictures change, and sign times M, from uniform numbers [B 4]."""
        normal = (-2 * (1 - random[:, 1]).log()).sqrt() * (2 * math.pi * random[:, 2]).cos()
        magnitude = (self.magnitude + self.deviation * normal).clamp(0, GREATEST) / GREATEST
        sign = torch.where(random[:, 3] < 0.5, -1.0, 1.0)
        return random[:, 0] < self.p, sign * magnitude

    def _check(self, channels: int) -> None:
        coloured = [operation for operation in self.names if operation in tones.COLOURED]
        if channels != 3 and coloured:
            raise ConfigError(
                f"RandAugment: names: expected operations for {channels} channels, got "
                f"{', '.join(coloured)}, which need 3; name the others"
            )


def _factor(strength: Tensor) -> Tensor:
    return (1 + 0.9 * strength).float()


def _steps(strength: Tensor, count: int) -> Tensor:
    """Return M in whole steps; the tolerance keeps rounding errors from losing a step."""
    return (strength.abs() * count + 1e-9).floor().float()


MOVES: dict[str, Move] = {  # shears keep the upper left corner in its place
    "rotate": lambda strength, height, width: moved.turned(strength * (math.pi / 6)),
    "shear_x": lambda strength, height, width: moved.sheared(0.3 * strength, 0, height / 2),
    "shear_y": lambda strength, height, width: moved.sheared(0.3 * strength, 1, width / 2),
    "translate_x": lambda strength, height, width: moved.shifted(0.45 * width * strength, 0),
    "translate_y": lambda strength, height, width: moved.shifted(0.45 * height * strength, 1),
}
TONES: dict[str, Operation] = {
    "autocontrast": lambda images, strength: tones.autocontrast(images),
    "equalise": lambda images, strength: tones.equalise(images),
    "invert": lambda images, strength: tones.invert(images),
    "posterise": lambda images, strength: tones.posterise(images, 4 - _steps(strength, 4)),
    "solarise": lambda images, strength: tones.solarise(
        images, (256 - _steps(strength, 256)) / 255
    ),
    "solarise_add": lambda images, strength: tones.brighten_dark(
        images, _steps(strength, 110) / 255
    ),
    "colour": lambda images, strength: tones.colour(images, _factor(strength), "RandAugment"),
    "contrast": lambda images, strength: tones.contrast(images, _factor(strength), "RandAugment"),
    "brightness": lambda images, strength: tones.brightness(images, _factor(strength)),
    "sharpness": lambda images, strength: tones.sharpness(images, _factor(strength)),
}
NAMES = (*TONES, *MOVES)
