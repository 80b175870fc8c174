"""Mix pictures, and their labels, with others of their batch: mixup and CutMix."""

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
    """Mix each picture x_i of a batch with x_j, j = B - 1 - i, with one share s of the first for
    the whole batch.

    mixup (Zhang et al. 2018):  s x_i + (1 - s) x_j,  s ~ Beta(mixup, mixup).

    CutMix (Yun et al. 2019): paste a rectangle of x_j into x_i. Its sides are sqrt(1 - s) of the
    picture's, around a uniform place, cut at the border; s ~ Beta(cutmix, cutmix), then replaced by
    the share of x_i's pixels that remain.

    Labels are mixed by the same s: s y_i + (1 - s) y_j, after smoothing. All frames of a clip are
    mixed the same way. Random numbers come from torch's CPU generator.

    Args:
        mixup: alpha of mixup; 0: off.
        cutmix: alpha of CutMix; 0: off.
        switch: probability of CutMix if both are on.
        p: probability that a batch is mixed.

    Raises:
        ConfigError: both are off.
    """

    def __init__(
        self, mixup: float = 0.8, cutmix: float = 1.0, switch: float = 0.5, p: float = 1.0
    ) -> None:
        finite(self, 0, mixup=mixup, cutmix=cutmix)
        share(self, switch=switch, p=p)
        if mixup == 0 and cutmix == 0:
            raise ConfigError(
                "Mixing: mixup, cutmix: expected at least one above 0, got 0 and 0; "
                "leave out the mixing"
            )
        self.mixup, self.cutmix = mixup, cutmix
        self.switch, self.p = switch, p

    def __call__(
        self, images: Float[Tensor, "B C *S"], targets: Float[Tensor, "B K"]
    ) -> tuple[Float[Tensor, "B C *S"], Float[Tensor, "B K"]]:
        """Give mixed pictures and targets, as new tensors; the given ones if this batch is not
        mixed.
        """
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
    """Draw from Beta(alpha, alpha), by torch's CPU generator."""
    parts = torch._standard_gamma(torch.full((2,), alpha, dtype=torch.float64))
    total = float(parts.sum())
    # With a tiny alpha both parts may round to 0: the limit is a fair coin.
    return float(parts[0]) / total if total > 0 else float(torch.rand(()) < 0.5)


def paste(
    images: Float[Tensor, "B C *S"], others: Float[Tensor, "B C *S"], kept: float
) -> tuple[Float[Tensor, "B C *S"], float]:
    """Paste a rectangle of `others`, about a share 1 - kept, into `images`; give the share that
    remains.
    """
    height, width = images.shape[-2:]
    rows, columns = (_stretch(side, math.sqrt(1 - kept)) for side in (height, width))
    mixed = images.clone()
    mixed[..., rows, columns] = others[..., rows, columns]
    area = (rows.stop - rows.start) * (columns.stop - columns.start)
    return mixed, 1 - area / (height * width)


def _stretch(side: int, ratio: float) -> slice:
    """Draw a stretch of a side, of length `ratio` of it, around a random place."""
    extent, centre = int(side * ratio), int(torch.randint(side, ()))
    start = centre - extent // 2
    return slice(max(start, 0), min(start + extent, side))


def smoothed(
    labels: Int[Tensor, " B"], classes: int, smoothing: float = 0.0
) -> Float[Tensor, "B K"]:
    """Give 1 - smoothing to each label, and smoothing / K to each of K classes (Szegedy et al.
    2016).
    """
    return one_hot(labels, classes).float() * (1 - smoothing) + smoothing / classes
