"""What shows that a method collapses, while it trains: read off the outputs of the steps that are logged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pymim.checks import finite, whole
from pymim.contracts import GivesGauges, KnowsChance, Output
from pymim.loop.seen import Seen
from pymim.method import Method
from pymim.world import World

if TYPE_CHECKING:
    from jaxtyping import Float


class Gauges:
    """Numbers for metrics.jsonl, under NAME/gauge of each objective NAME, and complaints.

    They are of one whole step, the one that is logged: of all its pieces, in all processes.

    features/rank: the effective rank of the encoder's tokens; NAME/target_rank that of a target which learns
        vectors. At 1 or below, all tokens are alike up to a factor.
    NAME/target_std: the deviation of such a target's channels over tokens. At 0 it is a constant.
    NAME/...: what a target or loss that assigns patches to clusters says by `gauges(prediction, target)`: see
        `measures.usage`.
    NAME/of_chance: the loss, as a share of the target's or loss's `chance`, the loss of knowing nothing: log K of
        K clusters.

    Args:
        tokens: how many, drawn from all, are looked at for a rank.
        near: a loss within this share of chance sits at it; patience: for so many reports before it is complained.
    """

    def __init__(self, tokens: int = 2048, near: float = 0.01, patience: int = 10) -> None:
        whole(self, 1, tokens=tokens, patience=patience)
        finite(self, 0, near=near)
        self.tokens, self.near, self.patience = tokens, near, patience
        self._sitting: dict[str, int] = {}
        self._seen = Seen(tokens)

    @torch.no_grad()
    def see(self, method: Method, output: Output, share: float = 1.0) -> None:
        """Look at one piece of a step, which is this share of the process's part of it, after its forward pass."""
        self._seen.draw("features/rank", output.features.tokens)
        for objective in (o for o in method.objectives if o.name in output.pairs):
            pairs = output.pairs[objective.name]
            prediction = torch.cat([pair.prediction for pair in pairs], 1)
            target = torch.cat([pair.target for pair in pairs], 1)
            for part in (objective.target, objective.loss):
                if isinstance(part, GivesGauges):
                    for name, gauge in part.gauges(prediction, target).items():
                        self._seen.add(f"{objective.name}/{name}", gauge, share)
            if pairs[0].target.requires_grad:
                self._seen.draw(f"{objective.name}/target_rank", target)

    @torch.no_grad()
    def values(self, method: Method, world: World, losses: dict[str, float]) -> dict[str, float]:
        """Give the gauges of a step, of all that was seen of it in all processes, and forget it.

        losses: the step's, by name.
        """
        seen, self._seen = self._seen, Seen(self.tokens)
        found = {}
        for name in seen.drawn:
            rows = seen.sample(name, world)
            found[name] = float(effective_rank(rows))
            if name.endswith("/target_rank"):
                found[f"{name.removesuffix('rank')}std"] = float(rows.std(0).mean())
        found |= seen.totals(world)
        for objective in (o for o in method.objectives if o.name in losses):
            for part in (objective.target, objective.loss):
                if isinstance(part, KnowsChance):
                    found[f"{objective.name}/of_chance"] = losses[objective.name] / part.chance
        return found

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


def effective_rank(tokens: Float[Tensor, "n D"]) -> Tensor:
    """exp of the entropy of the normalised singular values of the centred tokens (Roy & Vetterli 2007; RankMe,
    Garrido et al. 2023): how many directions they spread over. 0 where all are equal."""
    tokens = tokens.double()  # the square root of a rounding error of float32 is no small share of the whole
    centred = tokens - tokens.mean(0)
    values = torch.linalg.eigvalsh(centred.T @ centred).clamp_min(0).sqrt()
    total = values.sum()
    rank = torch.special.entr(values / total.clamp_min(1e-12)).sum().exp()
    return torch.where(total > 1e-6 * len(tokens) ** 0.5, rank, torch.zeros_like(rank)).float()
