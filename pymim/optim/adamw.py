"""AdamW with the parameter groups of the masked-image-modelling papers, and its schedules."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from pymim.optim.schedule import Constant, Cosine

Schedule = Callable[[int, int], float]


class AdamW:
    """AdamW (Loshchilov & Hutter 2019) over a whole method, with what the papers say of its groups.

    Parameters of one axis (biases, norms) are not decayed; tokens and positions are, as in the released code of
    MAE, unless `no_decay` matches their names (VideoMAE exempts the mask token and positions). `multipliers`
    scale the learning rate of the parameters whose names match (CAPI: the patch embedding by 0.2).
    `layer_decay` scales the rate of block i of an encoder of depth L by layer_decay^(L + 1 - i), for fine-tuning.

    The rate is `rate` itself where it is a schedule; a number is scaled by the global batch, rate * batch / 256,
    and warmed up and annealed by a half cosine.
    """

    def __init__(
        self,
        rate: float | Schedule = 1.5e-4,
        warmup: float = 0.05,
        weight_decay: float | Schedule = 0.05,
        betas: tuple[float, float] = (0.9, 0.95),
        no_decay: str = r"^$",
        multipliers: dict[str, float] | None = None,
        layer_decay: float = 1.0,
        scale_by: int = 256,
    ) -> None:
        self.rate, self.warmup, self.scale_by = rate, warmup, scale_by
        self.weight_decay = weight_decay if callable(weight_decay) else Constant(weight_decay)
        self.betas, self.layer_decay = betas, layer_decay
        self.no_decay, self.multipliers = re.compile(no_decay), multipliers or {}

    def schedule(self, batch: int) -> Schedule:
        """The learning rate as a function of (step, steps), for a global batch."""
        if callable(self.rate):
            return self.rate
        return Cosine(self.rate * batch / self.scale_by, warmup=self.warmup)

    def __call__(self, module: nn.Module) -> torch.optim.Optimizer:
        """An optimiser with one group for each pair of rate multiplier and decay."""
        named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
        depth = 1 + max((_block(name) for name, _ in named), default=0)
        groups: dict[tuple[float, bool], list[Tensor]] = {}
        for name, parameter in named:
            decayed = parameter.ndim > 1 and not self.no_decay.search(name)
            groups.setdefault((self._multiplier(name, depth), decayed), []).append(parameter)
        return torch.optim.AdamW(
            [{"params": p, "multiplier": m, "decayed": d} for (m, d), p in groups.items()],
            lr=0.0,
            betas=self.betas,
            fused=_fused(p for _, p in named),
        )

    def _multiplier(self, name: str, depth: int) -> float:
        multiplier = self.layer_decay ** (depth - _block(name)) if name.startswith("encoder.") else 1.0
        for pattern, factor in self.multipliers.items():
            multiplier *= factor if re.search(pattern, name) else 1.0
        return multiplier

    def set(self, optimizer: torch.optim.Optimizer, step: int, steps: int, batch: int) -> float:
        """Puts the values of this step into `optimizer`; gives the learning rate."""
        rate, decay = self.schedule(batch)(step, steps), self.weight_decay(step, steps)
        for group in optimizer.param_groups:
            group["lr"] = rate * group["multiplier"]
            group["weight_decay"] = decay if group["decayed"] else 0.0
        return rate


def _block(name: str) -> int:
    """0 for what comes before the encoder's blocks, i + 1 for block i, and a large depth has the rest."""
    match = re.match(r"encoder\.blocks\.(\d+)\.", name)
    return int(match[1]) + 1 if match else 0


def _fused(parameters: Iterable[Tensor]) -> bool:
    return all(p.is_floating_point() for p in parameters)
