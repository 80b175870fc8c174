"""Multinomial logistic regression, solved to a tolerance."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Logistic(NamedTuple):
    """A linear classifier."""

    weight: Float[Tensor, "K D"]
    bias: Float[Tensor, " K"]
    converged: bool

    def __call__(self, features: Float[Tensor, "N D"]) -> Float[Tensor, "N K"]:
        return features @ self.weight.T + self.bias


def fit(
    features: Float[Tensor, "N D"],
    labels: Int[Tensor, " N"],
    classes: int,
    strength: float,
    start: Logistic | None = None,
    iterations: int = 1000,
    tolerance: float = 1e-5,
) -> Logistic:
    """Minimise  mean cross entropy + strength / 2 |W|^2  by L-BFGS, from `start` (zeros where None), until no
    derivative is larger than `tolerance`, or for so many iterations.

    It solves for W L in float64, where L L^T = C / K + strength and C is the features' covariance: about the
    Hessian. In these coordinates every direction is as steep as any other, and tens of iterations do what took
    thousands.
    """
    features = features.double()
    count, width = features.shape
    eye = torch.eye(width, dtype=features.dtype, device=features.device)
    scale = torch.linalg.cholesky(features.T @ features / (count * classes) + strength * eye)
    back = torch.linalg.solve_triangular(scale, eye, upper=False)
    seen = features @ back.T
    inner = (seen.new_zeros(classes, width) if start is None else start.weight.double() @ scale).requires_grad_()
    bias = (seen.new_zeros(classes) if start is None else start.bias.double()).requires_grad_()
    solver = torch.optim.LBFGS(
        [inner, bias],
        max_iter=iterations,
        history_size=20,
        tolerance_grad=tolerance,
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        solver.zero_grad()
        loss: Tensor = cross_entropy(seen @ inner.T + bias, labels) + strength / 2 * (inner @ back).square().sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        solver.step(closure)
        closure()
    assert inner.grad is not None and bias.grad is not None
    steepest = max(float(inner.grad.abs().max()), float(bias.grad.abs().max()))
    return Logistic((inner @ back).detach().float(), bias.detach().float(), steepest <= tolerance)
