"""Draw several operations for each picture from a set (RandAugment, Cubuk et al. 2020).

SCAN's strong views are made of them (Van Gansbeke et al. 2020). Each does what Pillow does, on
float32 values.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import torch
from torch import Tensor

from pymim import philox
from pymim.checks import whole
from pymim.views import tones
from pymim.views.change import drawn
from pymim.views.moved import move, sheared, shifted, turned

# Pictures [b C *T H W] and a strength [b] on [0, 1) -> pictures.
Operation = Callable[[Tensor, Tensor], Tensor]
STREAM = 2  # blocks of the random stream that each drawn operation reads


class Operations:
    """Apply `count` operations in turn, drawn with replacement from `names`.

    Each has a strength drawn uniformly: identity; autocontrast; equalise; rotate by up to 30
    degrees; solarise above a threshold of 0 to 1; colour, contrast, brightness and sharpness scaled
    by 0.05 to 0.95; shear_x, shear_y, translate_x and translate_y by up to a tenth, either way;
    posterise to 4 to 8 bits.

    Rotated and moved pictures take the nearest pixel, and 0 from outside. Colour and contrast need
    three channels.

    Args:
        count: operations done to each picture.
        names: the operations to draw from; by default all.
    """

    def __init__(self, count: int = 4, names: Sequence[str] = ()):
        whole(self, 1, 64 // STREAM, count=count)
        self.count, self.names = count, known_names("Operations", names, BY_NAME)

    def __call__(self, images: Tensor, name: philox.Name, first: int) -> Tensor:
        changed = images.clone()
        for number in range(self.count):
            chance, random = drawn(name, first + STREAM * number, images)
            chosen = (chance.flatten().double() * len(self.names)).long()
            for kind, operation in enumerate(self.names):
                some = (chosen == kind).nonzero()[:, 0]
                if len(some):
                    changed[some] = BY_NAME[operation](changed[some], random.flatten(1)[some, 0])
        return changed


def known_names(asking: str, names: Sequence[str], table: Collection[str]) -> tuple[str, ...]:
    """Return the names, by default all of the table. Raises: ValueError for an unknown name."""
    unknown = [name for name in names if name not in table]
    if unknown:
        known = ", ".join(table)
        raise ValueError(
            f"{asking}: names: expected some of {known}, got {', '.join(unknown)}; "
            "choose among them"
        )
    return tuple(names) or tuple(table)


def _factor(strength: Tensor) -> Tensor:
    return 0.05 + 0.9 * strength


def _tenth(strength: Tensor) -> Tensor:
    """Map a strength on [0, 1) to -0.1 to 0.1."""
    return 0.1 * (2 * strength.double() - 1)


BY_NAME: dict[str, Operation] = {
    "identity": lambda images, strength: images,
    "autocontrast": lambda images, strength: tones.autocontrast(images),
    "equalise": lambda images, strength: tones.equalise(images),
    "rotate": lambda images, strength: move(
        images, turned((2 * strength.double() - 1) * (torch.pi / 6))
    ),
    "solarise": tones.solarise,
    "colour": lambda images, strength: tones.colour(images, _factor(strength), "Operations"),
    "contrast": lambda images, strength: tones.contrast(images, _factor(strength), "Operations"),
    "brightness": lambda images, strength: tones.brightness(images, _factor(strength)),
    "sharpness": lambda images, strength: tones.sharpness(images, _factor(strength)),
    "shear_x": lambda images, strength: move(images, sheared(_tenth(strength), 0)),
    "shear_y": lambda images, strength: move(images, sheared(_tenth(strength), 1)),
    "translate_x": lambda images, strength: move(
        images, shifted(images.shape[-1] * _tenth(strength), 0)
    ),
    "translate_y": lambda images, strength: move(
        images, shifted(images.shape[-2] * _tenth(strength), 1)
    ),
    "posterise": lambda images, strength: tones.posterise(images, 4 + (strength * 5).floor()),
}
