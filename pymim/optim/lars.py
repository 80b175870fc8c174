"""Layer-wise adaptive rate scaling, which trains linear probes in batches of many thousands."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pymim.checks import finite, positive
from pymim.optim.recipe import NONE, Group, Recipe
from pymim.optim.scaled import ScaledSGD
from pymim.schedule import Schedule


class LARS(Recipe):
    """LARS (You et al. 2017) for a whole module, as MoCo v3 and MAE train probes.

    u = g + weight_decay w;  u <- trust |w| / |u| u;  v <- momentum v + u;  w <- w - rate v.

    Parameters of one axis (biases, norms) are neither decayed nor scaled: u = g. A tensor whose
    weights or u are all zero keeps u as it is.

    Unlike `SGD` with `trust`, which is LARC: that scales every tensor, and divides by |g| +
    weight_decay |w|.

    Args:
        rate: learning rate; see `Group`.
        warmup: share of the steps over which the rate rises; see `Group`.
        weight_decay: a number or a schedule.
        momentum: decay of v.
        trust: trust coefficient.
        no_decay: regular expression of names that are not decayed.
        scale_by: batch at which `rate` applies; see `Group`.
    """

    def __init__(
        self,
        rate: float | Schedule = 0.1,
        warmup: float = 0.1,
        weight_decay: float | Schedule = 0.0,
        momentum: float = 0.9,
        trust: float = 0.001,
        no_decay: str = NONE,
        scale_by: int = 256,
    ) -> None:
        positive(self, trust=trust)
        finite(self, 0, rate=rate, warmup=warmup, weight_decay=weight_decay)
        super().__init__(
            (Group("", rate, warmup, weight_decay, scale_by=scale_by, momentum=momentum),), no_decay
        )
        self.trust = trust

    def make(self, parts: list[dict[str, Any]]) -> torch.optim.Optimizer:
        with_momentum = [part | {"momentum": self.groups[part["group"]].momentum} for part in parts]
        return _Scaled(with_momentum, self.trust)


class _Scaled(ScaledSGD):
    def scale(self, parameters: list[Tensor], gradients: list[Tensor], decay: float) -> None:
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if parameter.ndim < 2:
                continue
            update = gradient.add_(parameter, alpha=decay)
            size, slope = parameter.norm(), update.norm()
            scaled = (size > 0) & (slope > 0)
            update.mul_(torch.where(scaled, self.trust * size / slope.clamp_min(1e-30), 1.0))
