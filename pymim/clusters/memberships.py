"""Doubly stochastic memberships, with their gradient (MLC, Ding et al. 2023; CPP, Chu et al.
2024).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float


def memberships(
    affinity: Float[Tensor, "*S N N"], epsilon: float = 0.05, iterations: int = 10
) -> Float[Tensor, "*S N N"]:
    """Scale exp(affinity / epsilon), symmetric, so that rows and columns sum to 1, with a gradient.

    P[i j] = exp(affinity[i j] / epsilon + row[i] + row[j]), by half-way steps of both sides at once
    (Knight et al. 2014): row <- (row - log sum_j exp(affinity[i j] / epsilon + row[j])) / 2.

    `ops.sinkhorn.doubly_stochastic` gives the same without a gradient, in less time and memory,
    over several processes. Here every iteration keeps N^2 numbers for the backward pass.

    Args:
        affinity: symmetric similarities.
        epsilon: strength of the entropy.
        iterations: number of half-way steps.

    Raises:
        ValueError: the affinity is not square, or iterations is below 1.
    """
    if affinity.ndim < 2 or affinity.shape[-1] != affinity.shape[-2]:
        raise ValueError(
            f"memberships: affinity: expected a square [... N N], got {list(affinity.shape)}; "
            "pass the products of all rows with all rows"
        )
    if iterations < 1:
        raise ValueError(
            f"memberships: iterations: expected at least 1, got {iterations}; set iterations = 10"
        )
    logits = affinity / epsilon
    row = logits.new_zeros(logits.shape[:-1])
    for _ in range(iterations):
        row = (row - (logits + row[..., None, :]).logsumexp(-1)) / 2
    return (logits + row[..., None] + row[..., None, :]).exp()
