"""Adam's step, scaled for each tensor by the length of its weights: for batches of thousands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pymim.checks import finite, positive
from pymim.optim.recipe import NONE, Group, Recipe
from pymim.schedule import Schedule


class LAMB(Recipe):
    """LAMB (You et al. 2020) for a whole method, as SparK is trained (Tian et al. 2023).

    m and v are Adam's two means, with Adam's correction of the first steps;
    u = m / (sqrt(v) + eps) + weight_decay w;  w <- w - rate |w| / |u| u.

    Parameters that are not decayed (those of one axis, and `no_decay`) take u as it is, as do
    tensors of zeros. The ratio has no upper bound. Clip the gradients by `train.Trainer.clip`,
    which SparK's release does within the optimiser, at 5.

    Args:
        rate: learning rate; see `Group`.
        warmup: share of the steps over which the rate rises; see `Group`.
        weight_decay: a number or a schedule.
        betas: decay of the two running means.
        eps: added to the root of the second mean.
        no_decay: regular expression of names that are not decayed.
        multipliers: see `Recipe`.
        scale_by: batch at which `rate` applies; see `Group`.
        groups: groups with settings of their own; all other parameters use the arguments above.
        end: final rate of the anneal; see `Group`.
    """

    def __init__(
        self,
        rate: float | Schedule = 2e-4,
        warmup: float = 0.025,
        weight_decay: float | Schedule = 0.04,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-6,
        no_decay: str = NONE,
        multipliers: dict[str, float] | None = None,
        scale_by: int = 256,
        groups: Sequence[Group] = (),
        end: float = 0.0,
    ) -> None:
        positive(self, eps=eps)
        finite(self, 0, rate=rate, warmup=warmup, weight_decay=weight_decay)
        rest = Group("", rate, warmup, weight_decay, betas, scale_by, end=end)
        super().__init__((*groups, rest), no_decay, multipliers)
        self.eps = eps

    def make(self, parts: list[dict[str, Any]]) -> torch.optim.Optimizer:
        with_betas = [part | {"betas": self.groups[part["group"]].betas} for part in parts]
        return _Scaled(with_betas, {"lr": 0.0, "weight_decay": 0.0, "eps": self.eps})


class _Scaled(torch.optim.Optimizer):
    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for part in self.param_groups:
            reached = [parameter for parameter in part["params"] if parameter.grad is not None]
            if reached:
                self._step(part, reached)
        return None if closure is None else closure()

    def _step(self, part: dict[str, Any], parameters: list[Tensor]) -> None:
        updates = self._adam(part, parameters)
        rates: list[Any] = [-part["lr"]] * len(parameters)
        if part["weight_decay"]:
            torch._foreach_add_(updates, parameters, alpha=part["weight_decay"])
            sizes, slopes = torch._foreach_norm(parameters), torch._foreach_norm(updates)
            rates = [
                rate * torch.where((size > 0) & (slope > 0), size / slope.clamp_min(1e-30), 1.0)
                for rate, size, slope in zip(rates, sizes, slopes, strict=True)
            ]
        for update, rate in zip(updates, rates, strict=True):
            update.mul_(rate)
        torch._foreach_add_(parameters, updates)

    def _adam(self, part: dict[str, Any], parameters: list[Tensor]) -> list[Tensor]:
        """Give m / (sqrt(v) + eps) of each tensor, with the means corrected for the first steps."""
        first, second = part["betas"]
        states = [self._state(parameter) for parameter in parameters]
        gradients = [p.grad for p in parameters if p.grad is not None]
        means, squares = ([state[name] for state in states] for name in ("exp_avg", "exp_avg_sq"))
        torch._foreach_lerp_(means, gradients, 1 - first)
        torch._foreach_mul_(squares, second)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - second)
        counts = [int(state["step"].add_(1)) for state in states]
        roots = torch._foreach_sqrt(squares)
        torch._foreach_div_(roots, [(1 - second**count) ** 0.5 for count in counts])
        torch._foreach_add_(roots, part["eps"])
        updates = torch._foreach_div(means, roots)
        torch._foreach_div_(updates, [1 - first**count for count in counts])
        return list(updates)

    def _state(self, parameter: Tensor) -> dict[str, Tensor]:
        state: dict[str, Tensor] = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())  # on the CPU: it is read in each step
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        return state
