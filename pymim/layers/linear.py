"""Linear maps by the faster of the two matrix libraries that torch has for the CPU.

torch multiplies float32 matrices by MKL. At the sizes of a vision transformer oneDNN, which torch
uses for bfloat16, takes 15 to 25 % less time for x W' and its gradient, at least on AMD's Zen 4.
MKL is faster for the gradient of W.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Float


class Linear(nn.Linear):
    """torch's linear map, faster in float32 on a CPU."""

    maps: int = 1  # maps of equal height stacked in the matrix, such as q, k and v

    def forward(self, input: Float[Tensor, "*L D"]) -> Float[Tensor, "*L T"]:
        return linear(input, self.weight, self.bias)


class LinearMean(Linear):
    """Give the mean of a linear map's outputs, at the cost of one output; float32 under autocast
    too.
    """

    @classmethod
    def of(cls, map: nn.Linear) -> LinearMean:
        """Make one with that map's parameters."""
        made = cls(map.in_features, map.out_features, bias=map.bias is not None, device="meta")
        made.weight, made.bias = map.weight, map.bias
        return made

    def forward(self, input: Float[Tensor, "*L D"]) -> Float[Tensor, "*L 1"]:
        # No matrix product: autocast would round it.
        out = (input.float() * self.weight.mean(0)).sum(-1, keepdim=True)
        return out if self.bias is None else out + self.bias.mean()


def linear(x: Float[Tensor, "*L D"], weight: Float[Tensor, "T D"], bias: Tensor | None) -> Float[Tensor, "*L T"]:
    """Give x W' + b."""
    if not _is_ours(x, weight):
        return F.linear(x, weight, bias)
    out: Tensor = _Linear.apply(x.reshape(-1, x.shape[-1]), weight, bias)
    return out.view(*x.shape[:-1], len(weight))


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        wants_x, wants_weight, wants_bias = ctx.needs_input_grad
        return (
            _product(grad, weight.t(), None) if wants_x else None,
            grad.t() @ x if wants_weight else None,
            grad.sum(0) if wants_bias else None,
        )


def _is_ours(x: Tensor, weight: Tensor) -> bool:
    if torch.compiler.is_compiling() or x.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        return False
    return x.dtype == weight.dtype == torch.float32 and x.numel() > 0 and _AVAILABLE


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    out: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return out


_AVAILABLE = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
