"""How far two pictures that belong together are in the same cluster, and how far clusters are used alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pymim.checks import positive, whole
from pymim.errors import ConfigError
from pymim.world import gathered

if TYPE_CHECKING:
    from jaxtyping import Float

LEAST = 1e-8  # a mean share below it counts as this much


class Agreement:
    """-log sum_k p_k q_k, p and q the softmax of a prediction's and a target's scores: least where both are
    sure of the same cluster (SCAN, Van Gansbeke et al. 2020).

    Both sides learn where the target keeps its graph (`targets.Predicted`). It is a sum of exponentials of
    logarithms, exact for probabilities that float32 rounds to 0.

    temperature: both sides' scores are divided by it.
    """

    def __init__(self, temperature: float = 1.0):
        positive(self, temperature=temperature)
        self.temperature = temperature

    def __call__(self, prediction: Float[Tensor, "B M K"], target: Float[Tensor, "B M K"]) -> Float[Tensor, "B M"]:
        logs = [(side.float() / self.temperature).log_softmax(-1) for side in (prediction, target)]
        return -(logs[0] + logs[1]).logsumexp(-1)


class MeanEntropy:
    """H(mean of p) = -sum_k m_k log m_k, p the softmax of a prediction's scores, m its mean over the global
    batch: log K where clusters are used alike, 0 where there is one (SCAN, Van Gansbeke et al. 2020).

    To be made large: its weight in a `Sum` is below 0. The prediction alone learns by it, in several
    processes as in one.

    Args:
        sets: S heads side by side, each of which has its own mean; 1: all predictions share one, as several
            views do.
        temperature: scores are divided by it.
    """

    together = True
    over_batch = "the mean of predictions is over {}"

    def __init__(self, sets: int = 1, temperature: float = 1.0):
        whole(self, 1, sets=sets)
        positive(self, temperature=temperature)
        self.sets, self.temperature = sets, temperature

    def __call__(
        self, prediction: Float[Tensor, "B M K"], target: Tensor | None = None, **beside: Any
    ) -> Float[Tensor, "1 M"]:
        count = prediction.shape[1]
        if count % self.sets:
            raise ConfigError(
                f"MeanEntropy: sets: expected as many as the predictor has heads, a divisor of {count}, got "
                f"{self.sets}; set both alike"
            )
        shares = (prediction.float() / self.temperature).softmax(-1).unflatten(1, (-1, self.sets)).mean((0, 1))
        mean = gathered(shares[None]).mean(0).clamp_min(LEAST)
        entropy = -(mean * mean.log()).sum(-1)
        return entropy.repeat(count // self.sets)[None]


def of_heads(losses: Float[Tensor, "B M"], sets: int) -> Float[Tensor, " S"]:
    """Give the mean of each head's losses over the global batch, without a graph."""
    with torch.no_grad():
        mine = losses.detach().unflatten(1, (-1, sets)).mean((0, 1))
        return gathered(mine[None]).mean(0)
