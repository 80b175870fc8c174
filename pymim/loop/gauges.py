"""What shows that a method collapses, while it trains: read off the output of the steps that are logged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pymim.checks import finite, whole
from pymim.contracts import GivesGauges, KnowsChance, Output
from pymim.method import Method
from pymim.objective import Objective

if TYPE_CHECKING:
    from jaxtyping import Float


class Gauges:
    """Numbers for metrics.jsonl, under NAME/gauge of each objective NAME, and complaints.

    features/rank: the effective rank of the encoder's tokens; NAME/target_rank that of a target which learns
        vectors. At 1 or below, all tokens are alike up to a factor.
    NAME/target_std: the deviation of such a target's channels over tokens. At 0 it is a constant.
    NAME/...: what a target or loss that assigns patches to clusters says by `gauges(prediction, target)`, a dict of
        scalars: see `clusters.usage`.
    NAME/of_chance: the loss, as a share of the target's or loss's `chance`, the loss of knowing nothing: log K of
        K clusters.

    Args:
        tokens: how many are looked at for a rank.
        near: a loss within this share of chance sits at it; patience: for so many reports before it is complained.
    """

    def __init__(self, tokens: int = 2048, near: float = 0.01, patience: int = 10) -> None:
        whole(self, 1, tokens=tokens, patience=patience)
        finite(self, 0, near=near)
        self.tokens, self.near, self.patience = tokens, near, patience
        self._sitting: dict[str, int] = {}

    @torch.no_grad()
    def __call__(self, method: Method, output: Output) -> dict[str, float]:
        found = {"features/rank": effective_rank(self._some(output.features.tokens))}
        for objective in (o for o in method.objectives if o.name in output.pairs):
            named = self._of(objective, output)
            found |= {f"{objective.name}/{gauge}": value for gauge, value in named.items()}
        return dict(zip(found, torch.stack([v.float() for v in found.values()]).tolist(), strict=True))

    def complaints(self, values: dict[str, float]) -> list[str]:
        """What is wrong, each thing once, told when it has lasted."""
        wrong = {name: "features are alike" for name, v in values.items() if name.endswith("rank") and v < 1.5}
        wrong |= {name: "it is a constant" for name, v in values.items() if name.endswith("_std") and v < 0.01}
        for name, value in values.items():
            if name.endswith("/of_chance") and abs(value - 1) < self.near:
                wrong[name] = "the loss is that of knowing nothing"
        self._sitting = {name: self._sitting.get(name, 0) + 1 for name in wrong}
        return [
            f"collapse? {name} has been at {values[name]:.3f} for {self.patience} reports: {wrong[name]}"
            for name, count in self._sitting.items()
            if count == self.patience
        ]

    def _of(self, objective: Objective, output: Output) -> dict[str, Tensor]:
        pairs = output.pairs[objective.name]
        prediction = torch.cat([pair.prediction for pair in pairs], 1)
        target = torch.cat([pair.target for pair in pairs], 1)
        found: dict[str, Tensor] = {}
        for part in (objective.target, objective.loss):
            if isinstance(part, GivesGauges):
                found |= part.gauges(prediction, target)
            if isinstance(part, KnowsChance):
                found["of_chance"] = output.losses[objective.name].mean() / part.chance
        if pairs[0].target.requires_grad:
            some = self._some(target)
            found |= {"target_rank": effective_rank(some), "target_std": some.float().std(0).mean()}
        return found

    def _some(self, tokens: Tensor) -> Float[Tensor, "n D"]:
        flat = tokens.detach().flatten(0, -2)
        if len(flat) <= self.tokens:
            return flat
        # Drawn: a stride may meet that of the grid, and see one place of every picture.
        drawn = torch.randperm(len(flat), generator=torch.Generator().manual_seed(0))[: self.tokens]
        return flat[drawn.to(flat.device)]


def effective_rank(tokens: Float[Tensor, "n D"]) -> Tensor:
    """exp of the entropy of the normalised singular values of the centred tokens (Roy & Vetterli 2007; RankMe,
    Garrido et al. 2023): how many directions they spread over. 0 where all are equal."""
    tokens = tokens.double()  # the square root of a rounding error of float32 is no small share of the whole
    centred = tokens - tokens.mean(0)
    values = torch.linalg.eigvalsh(centred.T @ centred).clamp_min(0).sqrt()
    total = values.sum()
    rank = torch.special.entr(values / total.clamp_min(1e-12)).sum().exp()
    return torch.where(total > 1e-6 * len(tokens) ** 0.5, rank, torch.zeros_like(rank)).float()
