"""Change pixels, float32 [B C ...] on [0, 1], each picture with probability `p`.

Parameters are those of SimCLR, BYOL, SwAV and DINO. Unlike torchvision, brightness, contrast,
saturation and hue are changed in this order, and a blur renormalises at the border instead of
mirroring. Changes of colour need 3 channels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pymim import philox
from pymim.checks import ascending, finite, share
from pymim.views.resample import separable

GREY = (0.299, 0.587, 0.114)  # ITU-R 601


class Jitter:
    """Scale brightness, contrast and saturation by factors uniform in 1 +- their strengths.

    The hue is turned by at most `hue` of a full turn. Pictures with other than three channels need
    saturation = hue = 0.

    Args:
        brightness, contrast, saturation: how far each factor may be from 1.
        hue: largest turn, as a share of a full turn.
        p: the probability that a picture is changed.
    """

    def __init__(
        self,
        brightness: float = 0.4,
        contrast: float = 0.4,
        saturation: float = 0.2,
        hue: float = 0.1,
        p: float = 0.8,
    ):
        finite(self, 0, brightness=brightness, contrast=contrast, saturation=saturation)
        share(self, hue=hue, p=p)
        self.strengths, self.hue = torch.tensor((brightness, contrast, saturation)), hue
        self.p = p
        self.colours = saturation > 0 or hue > 0

    def __call__(self, images: Tensor, name: philox.Name, first: int) -> Tensor:
        chance, random = drawn(name, first, images)
        factors = [1 + (2 * random[:, k] - 1) * s for k, s in enumerate(self.strengths)]
        brightness, contrast = factors[:2]
        saturation = factors[2]
        changed = (images * brightness).clamp_(0, 1)
        middle = (luminance(changed) if images.shape[1] == 3 else changed).flatten(1).mean(1)
        changed = torch.lerp(middle.view_as(brightness), changed, contrast).clamp_(0, 1)
        if self.colours:
            changed = torch.lerp(luminance(changed, "Jitter"), changed, saturation).clamp_(0, 1)
            changed = turned(changed, (2 * random[:, 3] - 1) * self.hue)
        return torch.where(chance < self.p, changed, images)


class Grey:
    """Replace all three channels by the luminance.

    Args:
        p: the probability that a picture is changed.
    """

    def __init__(self, p: float = 0.2):
        share(self, p=p)
        self.p = p

    def __call__(self, images: Tensor, name: philox.Name, first: int) -> Tensor:
        chance, _ = drawn(name, first, images)
        return torch.where(chance < self.p, luminance(images, "Grey"), images)


class Blur:
    """Blur with a Gaussian whose standard deviation, in pixels, is uniform in `sigma`.

    Args:
        sigma: smallest and largest deviation, in pixels.
        p: the probability that a picture is changed.
    """

    def __init__(self, sigma: tuple[float, float] = (0.1, 2.0), p: float = 0.5):
        ascending(self, finite, 0, sigma=sigma)
        share(self, p=p)
        self.sigma, self.p = sigma, p

    def __call__(self, images: Tensor, name: philox.Name, first: int) -> Tensor:
        chance, random = drawn(name, first, images)
        chosen = chance.flatten() < self.p
        sigma = self.sigma[0] + random.flatten(1)[chosen, 0] * (self.sigma[1] - self.sigma[0])
        rows, columns = (_gaussian(sigma, extent) for extent in images.shape[-2:])
        images[chosen] = separable(images[chosen], rows, columns)
        return images


class Solarise:
    """Replace values of `threshold` and above by their negatives.

    Args:
        threshold: on [0, 1].
        p: the probability that a picture is changed.
    """

    def __init__(self, threshold: float = 0.5, p: float = 0.2):
        finite(self, threshold=threshold)
        share(self, p=p)
        self.threshold, self.p = threshold, p

    def __call__(self, images: Tensor, name: philox.Name, first: int) -> Tensor:
        chance, _ = drawn(name, first, images)
        return torch.where((chance < self.p) & (images >= self.threshold), 1 - images, images)


def drawn(name: philox.Name, first: int, images: Tensor) -> tuple[Tensor, Tensor]:
    """Draw a chance [B 1 ...] and four numbers [B 4 1 ...] for each picture.

    They broadcast over [B C ...].
    """
    random = torch.from_numpy(philox.uniforms(name, 2, first))
    ones = (1,) * (images.ndim - 1)
    return random[:, 0, 0].view(-1, *ones), random[:, 1].view(-1, 4, *ones)


def luminance(images: Tensor, asking: str = "luminance") -> Tensor:
    """Return the luminance [B 1 ...] of three channels.

    Raises: ValueError for another number of channels.
    """
    if images.shape[1] != 3:
        raise ValueError(
            f"{asking}: images: expected 3 channels, got {images.shape[1]}; remove changes of "
            "colour"
        )
    weight = images.new_tensor(GREY).view(3, *(1,) * (images.ndim - 2))
    return (images * weight).sum(1, keepdim=True)


def turned(images: Tensor, turn: Tensor) -> Tensor:
    """Turn the hue of red, green and blue by `turn`, a share of the circle.

    Value and saturation stay.
    """
    red, green = images[:, :1], images[:, 1:2]
    blue = images[:, 2:]
    value, least = images.amax(1, keepdim=True), images.amin(1, keepdim=True)
    chroma = value - least
    safe = chroma.clamp_min(1e-12)
    hue = torch.where(
        value == red,
        (green - blue) / safe,
        torch.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    sextant = [(n + hue + 6 * turn) % 6 for n in (5, 3, 1)]
    return torch.cat([value - chroma * torch.minimum(k, 4 - k).clamp(0, 1) for k in sextant], dim=1)


def _gaussian(sigma: Tensor, extent: int) -> Tensor:
    """Return weights [B extent extent]: row i blurs pixel i."""
    distance = torch.arange(extent)[:, None] - torch.arange(extent)
    kernel = torch.exp(-0.5 * (distance / sigma[:, None, None]) ** 2)
    return kernel / kernel.sum(2, keepdim=True)
