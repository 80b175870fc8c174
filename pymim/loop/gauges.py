"""Show a collapse while a method trains, from the outputs of the steps that are logged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pymim.checks import finite, whole
from pymim.contracts import GivesCodes, GivesGauges, KnowsChance, Output
from pymim.loop.seen import Seen
from pymim.measures import usage
from pymim.method import Method
from pymim.world import World

if TYPE_CHECKING:
    from jaxtyping import Float


class Gauges:
    """Compute numbers for metrics.jsonl, named NAME/gauge for each objective NAME, and warnings.

    They cover the whole logged step: all pieces of the batch, in all processes.

    features/rank: effective rank of the encoder's tokens. NAME/target_rank: that of a target that
    learns vectors. At 1 or below, all tokens are equal up to a factor. NAME/target_std: standard
    deviation of such a target's channels over tokens; 0 for a constant. NAME/...: the gauges of a
    target or loss that assigns patches to clusters, from its `gauges(prediction, target)`: see
    `measures.usage`. encoder/...: the same of an encoder whose tokens are codes.
    NAME/of_chance: the loss divided by `chance`, the loss of a uniform guess: log K for K clusters.

    Args:
        tokens: number of tokens, picked at random, that a rank is computed from.
        near: a loss within this relative distance of chance counts as chance.
        patience: number of reports in a row before a warning.
    """

    def __init__(self, tokens: int = 2048, near: float = 0.01, patience: int = 10) -> None:
        whole(self, 1, tokens=tokens, patience=patience)
        finite(self, 0, near=near)
        self.tokens, self.near = tokens, near
        self.patience = patience
        self._sitting: dict[str, int] = {}
        self._seen = Seen(tokens)

    @torch.no_grad()
    def see(self, method: Method, output: Output, share: float = 1.0) -> None:
        """Record one piece of a step after its forward pass.

        share: the piece's part of the pictures this process has in the step.
        """
        self._seen.pick("features/rank", output.features.tokens)
        if isinstance(method.encoder, GivesCodes):
            codes = method.encoder.codes(output.features)
            for name, tally in usage(codes, method.encoder.clusters).items():
                self._seen.add(f"encoder/{name}", tally, share)
        for objective in (o for o in method.objectives if o.name in output.pairs):
            pairs = output.pairs[objective.name]
            prediction = torch.cat([pair.prediction for pair in pairs], 1)
            target = torch.cat([pair.target for pair in pairs], 1)
            for part in (objective.target, objective.loss):
                if isinstance(part, GivesGauges):
                    for name, gauge in part.gauges(prediction, target).items():
                        self._seen.add(f"{objective.name}/{name}", gauge, share)
            if pairs[0].target.requires_grad:
                self._seen.pick(f"{objective.name}/target_rank", target)

    @torch.no_grad()
    def values(self, method: Method, world: World, losses: dict[str, float]) -> dict[str, float]:
        """Return the gauges of the step, over all pieces and processes, and start the next step.

        losses: the losses of the step, by name.
        """
        seen, self._seen = self._seen, Seen(self.tokens)
        found = {}
        for name in seen.picked:
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
        """Return warnings, each once, for conditions that lasted `patience` reports."""
        wrong = {
            name: "all tokens are equal"
            for name, v in values.items()
            if name.endswith("rank") and v < 1.5
        }
        wrong |= {
            name: "the target is a constant"
            for name, v in values.items()
            if name.endswith("_std") and v < 0.01
        }
        for name, value in values.items():
            if name.endswith("/of_chance") and abs(value - 1) < self.near:
                wrong[name] = "the loss is that of a uniform guess"
        self._sitting = {name: self._sitting.get(name, 0) + 1 for name in wrong}
        return [
            f"collapse? {name} is {values[name]:.3f}, for {self.patience} reports in a row: "
            f"{wrong[name]}"
            for name, count in self._sitting.items()
            if count == self.patience
        ]


def effective_rank(tokens: Float[Tensor, "n D"]) -> Tensor:
    """Return exp of the entropy of the centred tokens' normalised singular values.

    It says how many directions the tokens spread over: between 1 and D, or 0 if all tokens are
    equal (Roy & Vetterli 2007; RankMe, Garrido et al. 2023).
    """
    # In float32, the square root below would turn rounding errors into visible singular values.
    tokens = tokens.double()
    centred = tokens - tokens.mean(0)
    values = torch.linalg.eigvalsh(centred.T @ centred).clamp_min(0).sqrt()
    total = values.sum()
    rank = torch.special.entr(values / total.clamp_min(1e-12)).sum().exp()
    return torch.where(total > 1e-6 * len(tokens) ** 0.5, rank, torch.zeros_like(rank)).float()
