"""AdamW with the parameter groups of the masked-image-modelling papers, and its schedules."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from pymim.optim.schedule import Cosine, Schedule, at


class Group:
    """The parameters whose names match the regular expression `names`, and what they learn by: so that a target's
    prototypes, or a ranker, may have a rate, schedule and decay of their own.

    The rate is `rate` itself where it is a schedule; a number is scaled by the global batch, rate * batch over
    `scale_by`, and warmed up and annealed by a half cosine. Parameters of one axis are decayed `vectors` or not.
    """

    def __init__(
        self,
        names: str,
        rate: float | Schedule = 1.5e-4,
        warmup: float = 0.05,
        weight_decay: float | Schedule = 0.05,
        betas: tuple[float, float] = (0.9, 0.95),
        scale_by: int = 256,
        vectors: bool = False,
    ) -> None:
        self.names, self.rate, self.warmup, self.scale_by = re.compile(names), rate, warmup, scale_by
        self.weight_decay, self.betas, self.vectors = weight_decay, betas, vectors

    def schedule(self, batch: int) -> Schedule:
        """The learning rate as a function of (step, steps), for a global batch."""
        if callable(self.rate):
            return self.rate
        return Cosine(self.rate * batch / self.scale_by, warmup=self.warmup)


class AdamW:
    """AdamW (Loshchilov & Hutter 2019) over a whole method, with what the papers say of its groups.

    Parameters of one axis (biases, norms) are not decayed; tokens and positions are, as in the released code of
    MAE, unless `no_decay` matches their names (VideoMAE exempts the mask token and positions). `multipliers`
    scale the learning rate of the parameters whose names match (CAPI: the patch embedding by 0.2).
    `layer_decay` scales the rate of block i of an encoder of depth L by layer_decay^(L + 1 - i), for fine-tuning.

    The other arguments are those of `Group`, for the parameters that match none of `groups` (else the first).
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
        groups: Sequence[Group] = (),
    ) -> None:
        self.groups = (*groups, Group("", rate, warmup, weight_decay, betas, scale_by))
        self.layer_decay = layer_decay
        self.no_decay, self.multipliers = re.compile(no_decay), multipliers or {}

    def schedule(self, batch: int) -> Schedule:
        """The learning rate, outside `groups`, as a function of (step, steps), for a global batch."""
        return self.groups[-1].schedule(batch)

    def __call__(self, module: nn.Module) -> torch.optim.Optimizer:
        """An optimiser with a parameter group for each group here, rate multiplier and decay."""
        named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
        depth = 1 + max((_block(name) for name, _ in named), default=0)
        parts: dict[tuple[int, float, bool], list[Tensor]] = {}
        for name, parameter in named:
            number = next(i for i, group in enumerate(self.groups) if group.names.search(name))
            long = parameter.ndim > 1 or self.groups[number].vectors
            decayed = long and not self.no_decay.search(name)
            parts.setdefault((number, self._multiplier(name, depth), decayed), []).append(parameter)
        return torch.optim.AdamW(
            [
                {"params": p, "betas": self.groups[g].betas, "group": g, "multiplier": m, "decayed": d}
                for (g, m, d), p in parts.items()
            ],
            lr=0.0,
            fused=_fused(p for _, p in named),
        )

    def _multiplier(self, name: str, depth: int) -> float:
        multiplier = self.layer_decay ** (depth - _block(name)) if name.startswith("encoder.") else 1.0
        for pattern, factor in self.multipliers.items():
            multiplier *= factor if re.search(pattern, name) else 1.0
        return multiplier

    def set(self, optimizer: torch.optim.Optimizer, step: int, steps: int, batch: int) -> float:
        """Puts the values of this step into `optimizer`; gives the learning rate outside `groups`."""
        rates = [group.schedule(batch)(step, steps) for group in self.groups]
        decays = [at(group.weight_decay, step, steps) for group in self.groups]
        for part in optimizer.param_groups:
            part["lr"] = rates[part["group"]] * part["multiplier"]
            part["weight_decay"] = decays[part["group"]] if part["decayed"] else 0.0
        return rates[-1]


def _block(name: str) -> int:
    """0 for what comes before the encoder's blocks, i + 1 for block i (of a ResNet: for stage i + 1), and a large
    depth has the rest."""
    match = re.match(r"encoder\.(?:trunk\.)*(?:blocks\.(\d+)|layer([1-9]))\.", name)
    return 0 if match is None else int(match[1]) + 1 if match[1] else int(match[2])


def _fused(parameters: Iterable[Tensor]) -> bool:
    return all(p.is_floating_point() for p in parameters)
