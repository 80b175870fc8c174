"""Parameter groups, rates and decay: the common part of the papers' optimisers."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any

import torch
from torch import Tensor, nn

from pymim.checks import finite, positive, share, whole
from pymim.errors import ConfigError
from pymim.schedule import Cosine, Schedule, at

NONE = r"^$"  # matches no name


class Group:
    """Settings of the parameters whose names match `names`: a target's prototypes, or a ranker, may
    have their own.

    Args:
        names: regular expression, searched in parameter names.
        rate: learning rate. A schedule is used as it is. A number is scaled to rate * batch /
            scale_by for the global batch, warmed up, and annealed by a half cosine.
        warmup: share of the steps over which a number's rate rises.
        weight_decay: a number or a schedule.
        betas: AdamW's betas.
        scale_by: batch at which a number's rate applies.
        vectors: also decay parameters of one axis.
        momentum: SGD's momentum.
        end: final rate of the anneal, scaled in the same way.
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
        momentum: float = 0.9,
        end: float = 0.0,
    ) -> None:
        finite(self, 0, rate=rate, warmup=warmup, weight_decay=weight_decay, end=end)
        share(self, "from 0 to below 1", betas=betas, momentum=momentum)
        whole(self, 1, scale_by=scale_by)
        self.names, self.rate = re.compile(names), rate
        self.warmup, self.scale_by = warmup, scale_by
        self.end = end
        self.weight_decay, self.vectors = weight_decay, vectors
        self.betas, self.momentum = betas, momentum

    def schedule(self, batch: int) -> Schedule:
        """Give the learning rate as a function of (step, steps), for a global batch."""
        if callable(self.rate):
            return self.rate
        scale = batch / self.scale_by
        return Cosine(self.rate * scale, self.end * scale, warmup=self.warmup)


class Recipe:
    """Base class of optimisers: called with a method, it makes a torch optimiser with parameter
    groups.

    Args:
        groups: settings by parameter name; the first match counts, and the last group takes the
            rest.
        no_decay: regular expression of names that are not decayed.
        multipliers: factors of the learning rate by regular expression (CAPI: 0.2 for the patch
            embedding).
        layer_decay: for fine-tuning: scale the rate of block i of an encoder's L blocks by
            layer_decay^(L + 1 - i), i from 1, and of parameters before the blocks by layer_decay^(L
            + 1). Parameters after the blocks, such as the final norm, keep the rate (BEiT, Bao et
            al. 2022; MAE, He et al. 2022).

    Raises:
        ConfigError: when called, an expression matches no parameter.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        no_decay: str = NONE,
        multipliers: dict[str, float] | None = None,
        layer_decay: float = 1.0,
    ) -> None:
        positive(self, layer_decay=layer_decay)
        finite(self, 0, multipliers=[*(multipliers or {}).values()])
        self.groups, self.layer_decay = groups, layer_decay
        self.no_decay, self.multipliers = re.compile(no_decay), multipliers or {}

    @abstractmethod
    def make(self, parts: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """Make the optimiser of parameter groups {"params", "group": its number, "multiplier",
        "decayed"}.
        """

    def schedule(self, batch: int) -> Schedule:
        """Give the learning rate of the last group as a function of (step, steps), for a global
        batch.
        """
        return self.groups[-1].schedule(batch)

    def __call__(self, module: nn.Module) -> torch.optim.Optimizer:
        """Make an optimiser with one parameter group for each combination of group, multiplier and
        decay.
        """
        self.check(module)
        named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
        layers = _layers([name for name, _ in module.named_parameters()])
        parts: dict[tuple[int, float, bool], list[Tensor]] = {}
        for name, parameter in named:
            number = next(i for i, group in enumerate(self.groups) if group.names.search(name))
            long = parameter.ndim > 1 or self.groups[number].vectors
            decayed = long and not self.no_decay.search(name)
            parts.setdefault((number, self._multiplier(name, layers[name]), decayed), []).append(
                parameter
            )
        return self.make(
            [
                {"params": p, "group": g, "multiplier": m, "decayed": d}
                for (g, m, d), p in parts.items()
            ]
        )

    def check(self, module: nn.Module) -> None:
        """Refuse an expression that matches no parameter, such as a misspelt one.

        Raises:
            ConfigError: names the expression and the nearest parameter.
        """
        names = [name for name, _ in module.named_parameters()]
        given = [("no_decay", self.no_decay.pattern)] if self.no_decay.pattern != NONE else []
        given += [("multipliers", pattern) for pattern in self.multipliers]
        given += [("groups", group.names.pattern) for group in self.groups[:-1]]
        for argument, pattern in given:
            if not any(re.search(pattern, name) for name in names):
                raise ConfigError(
                    f"{type(self).__name__}: {argument}: expected a regular expression that "
                    f"matches a parameter's name, got {pattern!r}, which matches none; "
                    f"{_nearest(pattern, names)}"
                )

    def _multiplier(self, name: str, above: int) -> float:
        multiplier = self.layer_decay**above
        for pattern, factor in self.multipliers.items():
            multiplier *= factor if re.search(pattern, name) else 1.0
        return multiplier

    def set(self, optimizer: torch.optim.Optimizer, step: int, steps: int, batch: int) -> float:
        """Set this step's rates and decays in `optimizer`, and give the learning rate of the last
        group.
        """
        rates = [group.schedule(batch)(step, steps) for group in self.groups]
        decays = [at(group.weight_decay, step, steps) for group in self.groups]
        finite(self, 0, rate=rates, weight_decay=decays)
        for part in optimizer.param_groups:
            part["lr"] = rates[part["group"]] * part["multiplier"]
            part["weight_decay"] = decays[part["group"]] if part["decayed"] else 0.0
        return rates[-1]


def _nearest(pattern: str, names: Sequence[str]) -> str:
    """Name the parameter, or part of a name, that is spelt most like the words of an expression."""
    words = [
        word for word in re.sub(r"\\[AbBdDsSwWZ]|[\\^$*+?(){}\[\]]", "", pattern).split("|") if word
    ] or [""]
    known = sorted({part for name in names for part in (name, *name.split("."))})
    likeness = {
        one: max(SequenceMatcher(None, word, one).ratio() for word in words) for one in known
    }
    nearest = max(known, key=lambda one: likeness[one])
    return (
        f"did you mean {nearest!r}?"
        if likeness[nearest] > 0.6
        else f"the nearest name is {nearest!r}"
    )


def _layers(names: Sequence[str]) -> dict[str, int]:
    """Count the layers from each parameter to the head; 0 outside the encoder and after its blocks.

    Parameters are listed in the order of the network, so those before the first block come first.
    """
    blocks = {name: _block(name) for name in names}
    top, passed = max(blocks.values(), default=0), 0
    above = {}
    for name, block in blocks.items():
        passed = block or passed
        behind = not name.startswith("encoder.") or not top or (passed == top and not block)
        above[name] = 0 if behind else top + 1 - (block or passed)
    return above


def _block(name: str) -> int:
    """Give i + 1 for block i of the encoder (for a ResNet: stage i + 1), and 0 outside blocks."""
    match = re.match(r"encoder\.(?:trunk\.)*(?:blocks\.(\d+)|layer([1-9]))\.", name)
    if match is None:
        return 0
    return int(match[1]) + 1 if match[1] else int(match[2])
