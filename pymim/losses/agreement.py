"""Losses for clustering without labels: pairs should agree on a cluster, and clusters should be
used equally.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pymim.checks import positive, whole
from pymim.errors import ConfigError
from pymim.world import gathered

if TYPE_CHECKING:
    from jaxtyping import Float

LEAST = 1e-8  # smallest mean share, so that its logarithm is finite


class Agreement:
    """Give -log sum_k p_k q_k [B M]: small where prediction and target are sure of the same
    cluster.

    p and q are the softmax of both sides' scores (SCAN, Van Gansbeke et al. 2020). Both sides learn
    if the target keeps its graph (`targets.Predicted`). It is computed from logarithms, so it is
    exact where float32 rounds a probability to 0.

    Args:
        temperature: divides the scores of both sides.
    """

    def __init__(self, temperature: float = 1.0):
        positive(self, temperature=temperature)
        self.temperature = temperature

    def __call__(
        self, prediction: Float[Tensor, "B M K"], target: Float[Tensor, "B M K"]
    ) -> Float[Tensor, "B M"]:
        logs = [(side.float() / self.temperature).log_softmax(-1) for side in (prediction, target)]
        return -(logs[0] + logs[1]).logsumexp(-1)


class MeanEntropy:
    """Give the entropy of the mean prediction, H(m) = -sum_k m_k log m_k [1 M].

    m is the mean over the global batch of the softmax of scores: log K if clusters are used
    equally, 0 if only one is (SCAN, Van Gansbeke et al. 2020). It should be large, so give it a
    negative weight in a `Sum`. Only the prediction learns from it, with several processes as with
    one.

    Args:
        sets: heads S along M, each with a mean of its own; 1: all predictions share one mean, as
            several views do.
        temperature: divides the scores.

    Raises:
        ConfigError: when called, sets do not divide M.
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
                f"MeanEntropy: sets: expected the predictor's number of heads, a divisor of "
                f"{count}, got {self.sets}; set both to the same number"
            )
        shares = (
            (prediction.float() / self.temperature)
            .softmax(-1)
            .unflatten(1, (-1, self.sets))
            .mean((0, 1))
        )
        mean = gathered(shares[None]).mean(0).clamp_min(LEAST)
        entropy = -(mean * mean.log()).sum(-1)
        return entropy.repeat(count // self.sets)[None]


def of_heads(losses: Float[Tensor, "B M"], sets: int) -> Float[Tensor, " S"]:
    """Give the mean of each head's losses over the global batch, without a graph."""
    with torch.no_grad():
        mine = losses.detach().unflatten(1, (-1, sets)).mean((0, 1))
        return gathered(mine[None]).mean(0)
