"""Multinomial logistic regression, solved to a tolerance."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Logistic(NamedTuple):
    """A linear classifier. converged: no derivative of its objective exceeds the tolerance."""

    weight: Float[Tensor, "K D"]
    bias: Float[Tensor, " K"]
    converged: bool

    def __call__(self, features: Float[Tensor, "N D"]) -> Float[Tensor, "N K"]:
        return features.to(self.weight) @ self.weight.T + self.bias


class Principal(NamedTuple):
    """Features [N D] as uncorrelated coordinates [N R] along orthonormal axes [D R].

    R is the smaller of N and D: weights of least norm are combinations of the features, so
    directions outside their span are of no use.
    """

    coordinates: Float[Tensor, "N R"]
    axes: Float[Tensor, "D R"]

    @classmethod
    def of(cls, features: Float[Tensor, "N D"]) -> Principal:
        """Find the axes, in float64."""
        features = features.double()
        if len(features) >= features.shape[1]:
            return cls(features @ (axes := _eigenvectors(features)), axes)
        span, parts = torch.linalg.qr(features.T)
        axes = _eigenvectors(parts.T)
        return cls(parts.T @ axes, span @ axes)

    def back(self, model: Logistic) -> Logistic:
        """Turn a classifier of coordinates into one of features."""
        return model._replace(weight=model.weight @ self.axes.T)


def fit(
    features: Float[Tensor, "N D"],
    labels: Int[Tensor, " N"],
    classes: int,
    strength: float,
    start: Logistic | None = None,
    iterations: int = 1000,
    tolerance: float = 1e-5,
) -> Logistic:
    """Minimise  mean cross entropy + strength / 2 |W|^2  in float64 by L-BFGS.

    It starts from `start` (None: zeros) and stops when no derivative exceeds `tolerance`, or after
    `iterations`.

    It solves for W / r, r = (C / K + strength)^-1/2, where C is the mean square of each feature.
    For uncorrelated features (`Principal`) that is about the Hessian. So all directions are about
    equally steep, and tens of iterations replace thousands. Correlated features take more.
    """
    features = features.double()
    scale = (features.square().mean(0) / classes + strength).rsqrt()
    seen = features * scale
    inner = (
        seen.new_zeros(classes, len(scale)) if start is None else start.weight / scale
    ).requires_grad_()
    bias = (seen.new_zeros(classes) if start is None else start.bias.clone()).requires_grad_()
    solver = torch.optim.LBFGS(
        [inner, bias],
        max_iter=iterations,
        max_eval=2 * iterations,
        history_size=20,
        tolerance_grad=tolerance,
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        solver.zero_grad()
        loss: Tensor = (
            cross_entropy(seen @ inner.T + bias, labels)
            + strength / 2 * (inner * scale).square().sum()
        )
        loss.backward()
        return loss

    with torch.enable_grad():
        solver.step(closure)
        closure()
    assert inner.grad is not None and bias.grad is not None
    steepest = max(float(inner.grad.abs().max()), float(bias.grad.abs().max()))
    return Logistic((inner * scale).detach(), bias.detach(), steepest <= tolerance)


def _eigenvectors(features: Float[Tensor, "N D"]) -> Float[Tensor, "D D"]:
    found: Tensor = torch.linalg.eigh(features.T @ features).eigenvectors
    return found
