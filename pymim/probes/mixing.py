"""Pictures mixed with others of their batch, and their labels with them: mixup and CutMix."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from pymim.checks import finite, share
from pymim.errors import ConfigError

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Mixing:
    """Mixes each picture x_i of a batch with x_j, j = B - 1 - i, by one share s of the first for the whole batch.

    mixup (Zhang et al. 2018):  s x_i + (1 - s) x_j,  s ~ Beta(mixup, mixup);
    CutMix (Yun et al. 2019): a rectangle of x_j in x_i, its sides sqrt(1 - s) of the picture's round a place drawn
    uniformly, and cut at the border; s ~ Beta(cutmix, cutmix), then the share of x_i's pixels that is left.

    Labels are mixed by the same s: s y_i + (1 - s) y_j, of labels smoothed as the loss asks.

    mixup, cutmix: alpha of each; at 0 it is off. switch: the probability of CutMix where both are on.
    p: the probability that a batch is mixed at all.

    A clip's frames are mixed alike. Draws come from torch's generator of the CPU.
    """

    def __init__(self, mixup: float = 0.8, cutmix: float = 1.0, switch: float = 0.5, p: float = 1.0) -> None:
        finite(self, 0, mixup=mixup, cutmix=cutmix)
        share(self, switch=switch, p=p)
        if mixup == 0 and cutmix == 0:
            raise ConfigError("Mixing: mixup: expected one above 0 of mixup and cutmix, got 0; leave mixing out")
        self.mixup, self.cutmix, self.switch, self.p = mixup, cutmix, switch, p

    def __call__(
        self, images: Float[Tensor, "B C *S"], targets: Float[Tensor, "B K"]
    ) -> tuple[Float[Tensor, "B C *S"], Float[Tensor, "B K"]]:
        """Give the mixed pictures and targets, new tensors; those given where this batch is not mixed."""
        if float(torch.rand(())) >= self.p:
            return images, targets
        cuts = self.mixup == 0 or (self.cutmix > 0 and float(torch.rand(())) < self.switch)
        kept = beta(self.cutmix if cuts else self.mixup)
        if cuts:
            images, kept = paste(images, images.flip(0), kept)
        else:
            images = torch.lerp(images.flip(0), images, kept)
        return images, torch.lerp(targets.flip(0), targets, kept)


def beta(alpha: float) -> float:
    """Draw from Beta(alpha, alpha), by torch's generator of the CPU."""
    parts = torch._standard_gamma(torch.full((2,), alpha, dtype=torch.float64))
    total = float(parts.sum())
    return float(parts[0]) / total if total > 0 else float(torch.rand(()) < 0.5)  # of a tiny alpha both may be 0


def paste(
    images: Float[Tensor, "B C *S"], others: Float[Tensor, "B C *S"], kept: float
) -> tuple[Float[Tensor, "B C *S"], float]:
    """Put a rectangle of `others`, of about a share 1 - kept, into `images`; give the share that is kept."""
    height, width = images.shape[-2:]
    rows, columns = (_stretch(side, math.sqrt(1 - kept)) for side in (height, width))
    mixed = images.clone()
    mixed[..., rows, columns] = others[..., rows, columns]
    area = (rows.stop - rows.start) * (columns.stop - columns.start)
    return mixed, 1 - area / (height * width)


def _stretch(side: int, ratio: float) -> slice:
    """Draw the pixels of a side that a stretch of a share `ratio` covers, round a place on it."""
    extent, centre = int(side * ratio), int(torch.randint(side, ()))
    start = centre - extent // 2
    return slice(max(start, 0), min(start + extent, side))


def smoothed(labels: Int[Tensor, " B"], classes: int, smoothing: float = 0.0) -> Float[Tensor, "B K"]:
    """Give 1 - smoothing to each label, and smoothing / K to all of K classes (Szegedy et al. 2016)."""
    return one_hot(labels, classes).float() * (1 - smoothing) + smoothing / classes
