"""Stochastic gradient descent, and its layer-wise scaled form, for convolutional networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pymim.checks import finite, given, positive
from pymim.optim.recipe import NONE, Group, Recipe
from pymim.optim.scaled import ScaledSGD
from pymim.schedule import Schedule


class SGD(Recipe):
    """v <- momentum v + (g + weight_decay w);  w <- w - rate v, for a whole method.

    All parameters are decayed, biases and norms too, as torch's SGD does; in `groups`, if they say
    so (`vectors`).

    Args:
        rate: learning rate; see `Group`.
        warmup: share of the steps over which the rate rises; see `Group`.
        weight_decay: a number or a schedule.
        momentum: decay of v; 0 keeps no state.
        trust: scale each tensor's gradient first, g <- trust |w| / (|g| + weight_decay |w|) (g +
            weight_decay w): LARC without clipping (You et al. 2017), which SwAV and DeepCluster-v2
            use with 0.001. None: no scaling.
        no_decay: regular expression of names that are not decayed.
        multipliers: see `Recipe`.
        layer_decay: see `Recipe`.
        scale_by: batch at which `rate` applies; see `Group`.
        groups: groups with settings of their own; all other parameters use the arguments above.
    """

    def __init__(
        self,
        rate: float | Schedule = 0.05,
        warmup: float = 0.0,
        weight_decay: float | Schedule = 1e-5,
        momentum: float = 0.9,
        trust: float | None = None,
        no_decay: str = NONE,
        multipliers: dict[str, float] | None = None,
        layer_decay: float = 1.0,
        scale_by: int = 256,
        groups: Sequence[Group] = (),
    ) -> None:
        positive(self, **given(trust=trust))
        finite(self, 0, rate=rate, warmup=warmup, weight_decay=weight_decay)
        rest = Group(
            "", rate, warmup, weight_decay, scale_by=scale_by, vectors=True, momentum=momentum
        )
        super().__init__((*groups, rest), no_decay, multipliers, layer_decay)
        self.trust = trust

    def make(self, parts: list[dict[str, Any]]) -> torch.optim.Optimizer:
        with_momentum = [part | {"momentum": self.groups[part["group"]].momentum} for part in parts]
        if self.trust is None:
            return torch.optim.SGD(with_momentum, lr=0.0)
        return _Trusted(with_momentum, self.trust)


class _Trusted(ScaledSGD):
    def scale(self, parameters: list[Tensor], gradients: list[Tensor], decay: float) -> None:
        sizes, slopes = torch._foreach_norm(parameters), torch._foreach_norm(gradients)
        torch._foreach_add_(gradients, parameters, alpha=decay)
        for gradient, size, slope in zip(gradients, sizes, slopes, strict=True):
            factor = self.trust * size / (slope + decay * size + 1e-8)
            # A tensor of zeros (a new bias) uses its plain gradient; a zero gradient changes
            # nothing.
            gradient.mul_(torch.where(slope > 0, torch.where(size > 0, factor, 1.0), 0.0))
