"""Operations drawn out of a set, several for each picture (RandAugment, Cubuk et al. 2020), as SCAN's strong views
are made of them (Van Gansbeke et al. 2020). Each does what Pillow does, on float32 values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, conv2d, grid_sample

from pymim import philox
from pymim.checks import whole
from pymim.views.change import drawn, luminance

Operation = Callable[[Tensor, Tensor], Tensor]  # pictures [b C *T H W], strength [b] on [0, 1) -> the same
STREAM = 2  # blocks that each of the drawn operations reads


class Operations:
    """`count` operations in turn, drawn with replacement out of `names`, each with a strength drawn uniformly:

    identity; autocontrast; equalise; rotate by up to 30 degrees; solarise above a threshold of 0 to 1; colour,
    contrast, brightness and sharpness scaled by 0.05 to 0.95; shear_x, shear_y, translate_x and translate_y by up
    to a tenth, either way; posterise to 4 to 8 bits.

    What is turned or moved takes the nearest pixel, and 0 from outside. Pictures need three channels for colour
    and contrast.
    """

    def __init__(self, count: int = 4, names: Sequence[str] = ()):
        whole(self, 1, 64 // STREAM, count=count)
        self.count, self.names = count, tuple(names) or tuple(BY_NAME)
        unknown = [name for name in self.names if name not in BY_NAME]
        if unknown:
            known = ", ".join(BY_NAME)
            raise ValueError(f"Operations: names: expected some of {known}, got {', '.join(unknown)}; name others")

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


def autocontrast(images: Tensor, strength: Tensor | None = None) -> Tensor:
    """Spread each channel over [0, 1]; a flat one stays."""
    flat = images.flatten(2)
    least, most = (_like(value, images) for value in (flat.amin(2), flat.amax(2)))
    return torch.where(most > least, (images - least) / (most - least).clamp_min(1e-6), images)


def equalise(images: Tensor, strength: Tensor | None = None) -> Tensor:
    """Give each channel's 256 values the same frequency, as far as steps of whole pixels go."""
    level = (images * 255).round().long().clamp(0, 255).flatten(2)
    count = torch.zeros(*level.shape[:2], 256, dtype=torch.int64).scatter_add_(2, level, torch.ones_like(level))
    last = count.gather(2, level.amax(2, keepdim=True))
    step = (count.sum(2, keepdim=True) - last) // 255
    table = (step // 2 + count.cumsum(2) - count) // step.clamp_min(1)
    table = torch.where(step > 0, table.clamp_max(255), torch.arange(256))
    return table.gather(2, level).view_as(images) / 255


def solarise(images: Tensor, strength: Tensor) -> Tensor:
    """Turn values of a threshold and above into their negatives."""
    return torch.where(images >= _like(strength, images), 1 - images, images)


def posterise(images: Tensor, strength: Tensor) -> Tensor:
    """Keep 4 to 8 of 8 bits."""
    step = _like(2 ** (4 - (strength * 5).floor()), images)
    return ((images * 255).round() / step).floor() * step / 255


def colour(images: Tensor, strength: Tensor) -> Tensor:
    """Blend with the grey picture."""
    return torch.lerp(luminance(images, "Operations").expand_as(images), images, _factor(strength, images))


def contrast(images: Tensor, strength: Tensor) -> Tensor:
    """Blend with the mean grey value."""
    mean = luminance(images, "Operations").flatten(1).mean(1)
    return torch.lerp(_like(mean, images).expand_as(images), images, _factor(strength, images))


def brightness(images: Tensor, strength: Tensor) -> Tensor:
    """Blend with black."""
    return images * _factor(strength, images)


def sharpness(images: Tensor, strength: Tensor) -> Tensor:
    """Blend with the smoothed picture; the border is not smoothed."""
    kernel = torch.ones(1, 1, 3, 3)
    kernel[..., 1, 1] = 5
    planes = images.reshape(-1, 1, *images.shape[-2:])
    smooth = planes.clone()
    if min(images.shape[-2:]) > 2:
        smooth[..., 1:-1, 1:-1] = conv2d(planes, kernel / 13)
    return torch.lerp(smooth.view_as(images), images, _factor(strength, images))


def _factor(strength: Tensor, images: Tensor) -> Tensor:
    return _like(0.05 + 0.9 * strength, images)


def _like(values: Tensor, images: Tensor) -> Tensor:
    """Values [b] or [b C], to broadcast over pictures."""
    return values.view(*values.shape, *(1,) * (images.ndim - values.ndim))


def _moved(make: Callable[[Tensor, int, int], Tensor]) -> Operation:
    """Make an operation of matrices [b 2 3] of amounts in -1 to 1: output to input, in pixels from the middle."""

    def apply(images: Tensor, strength: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        matrix = make(2 * strength.double() - 1, height, width)
        size = matrix.new_tensor([width / 2, height / 2])
        matrix = torch.cat([matrix[..., :2] * size / size[:, None], matrix[..., 2:] / size[:, None]], 2)
        planes = images.reshape(len(images), -1, height, width)
        grid = affine_grid(matrix, list(planes.shape), align_corners=False)
        return grid_sample(planes.double(), grid, "nearest", align_corners=False).float().view_as(images)

    return apply


def _matrix(*rows: Sequence[Tensor | float]) -> Tensor:
    amount = next(value for row in rows for value in row if isinstance(value, Tensor))
    filled = [[torch.as_tensor(value).to(amount).expand_as(amount) for value in row] for row in rows]
    return torch.stack([torch.stack(row, -1) for row in filled], -2)


def _turned(amount: Tensor, height: int, width: int) -> Tensor:
    angle = amount * (math.pi / 6)
    return _matrix((angle.cos(), -angle.sin(), 0.0), (angle.sin(), angle.cos(), 0.0))


BY_NAME: dict[str, Operation] = {
    "identity": lambda images, strength: images,
    "autocontrast": autocontrast,
    "equalise": equalise,
    "rotate": _moved(_turned),
    "solarise": solarise,
    "colour": colour,
    "contrast": contrast,
    "brightness": brightness,
    "sharpness": sharpness,
    "shear_x": _moved(lambda amount, h, w: _matrix((1.0, 0.1 * amount, 0.0), (0.0, 1.0 + 0 * amount, 0.0))),
    "shear_y": _moved(lambda amount, h, w: _matrix((1.0 + 0 * amount, 0.0, 0.0), (0.1 * amount, 1.0, 0.0))),
    "translate_x": _moved(lambda amount, h, w: _matrix((1.0, 0.0, 0.1 * w * amount), (0.0, 1.0, 0.0))),
    "translate_y": _moved(lambda amount, h, w: _matrix((1.0, 0.0, 0.0), (0.0, 1.0, 0.1 * h * amount))),
    "posterise": posterise,
}
