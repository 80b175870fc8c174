"""AdamW with the parameter groups and schedules of the masked-image-modelling papers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from pymim.checks import finite
from pymim.optim.recipe import NONE, Group, Recipe
from pymim.schedule import Schedule


class AdamW(Recipe):
    """AdamW (Loshchilov & Hutter 2019) for a whole method, with the papers' parameter groups.

    Parameters of one axis (biases, norms) are not decayed. Tokens and positions are, as in MAE's
    released code, unless `no_decay` matches their names (VideoMAE exempts the mask token and
    positions).

    Args:
        rate: learning rate; see `Group`.
        warmup: share of the steps over which the rate rises; see `Group`.
        weight_decay: a number or a schedule.
        betas: decay of the two running means.
        no_decay: regular expression of names that are not decayed.
        multipliers: see `Recipe`.
        layer_decay: see `Recipe`.
        scale_by: batch at which `rate` applies; see `Group`.
        groups: groups with settings of their own; all other parameters use the arguments above.
        end: final rate of the anneal; see `Group`.
    """

    def __init__(
        self,
        rate: float | Schedule = 1.5e-4,
        warmup: float = 0.05,
        weight_decay: float | Schedule = 0.05,
        betas: tuple[float, float] = (0.9, 0.95),
        no_decay: str = NONE,
        multipliers: dict[str, float] | None = None,
        layer_decay: float = 1.0,
        scale_by: int = 256,
        groups: Sequence[Group] = (),
        end: float = 0.0,
    ) -> None:
        # Group checks these too, but its error would not name AdamW.
        finite(self, 0, rate=rate, warmup=warmup, weight_decay=weight_decay)
        rest = Group("", rate, warmup, weight_decay, betas, scale_by, end=end)
        super().__init__((*groups, rest), no_decay, multipliers, layer_decay)

    def make(self, parts: list[dict[str, Any]]) -> torch.optim.Optimizer:
        fused = all(parameter.is_floating_point() for part in parts for parameter in part["params"])
        with_betas = [part | {"betas": self.groups[part["group"]].betas} for part in parts]
        return torch.optim.AdamW(with_betas, lr=0.0, fused=fused)
