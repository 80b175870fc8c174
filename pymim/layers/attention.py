"""Multi-head self-attention (Vaswani et al. 2017), by the fastest way for short sequences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pymim.checks import whole
from pymim.layers.linear import JointLinear
from pymim.layers.rotary import Rotation, rotate

if TYPE_CHECKING:
    from jaxtyping import Float


class Products(torch.autograd.Function):
    """Compute softmax(q k' / sqrt(E)) v for flat heads [B*H L E], by plain matrix products.

    On the CPU, for up to a few hundred tokens, this takes half the time of torch's flash attention
    in bfloat16, whose backward pass costs about as much as the rest of a block. All gradients are
    written to one tensor, so the joint map of queries, keys and values needs no further copies.
    """

    @staticmethod
    def forward(
        ctx: Any, qkv: Float[Tensor, "3 heads L E"], asked: int
    ) -> Float[Tensor, "heads A E"]:
        query, key = qkv[0, :, qkv.shape[2] - asked :], qkv[1]
        value = qkv[2]
        weights = scaled(query, key.mT, query.shape[-1] ** -0.5).softmax(-1)
        ctx.save_for_backward(qkv, weights)
        return weights @ value

    @staticmethod
    def backward(ctx: Any, grad: Float[Tensor, "heads A E"]) -> tuple[Tensor, None]:
        qkv, weights = ctx.saved_tensors
        first, scale = qkv.shape[2] - weights.shape[1], qkv.shape[-1] ** -0.5
        query, key = qkv[0, :, first:], qkv[1]
        value = qkv[2]
        out = torch.empty_like(qkv)
        out[0, :, :first] = 0
        scores = torch._softmax_backward_data(grad @ value.mT, weights, -1, weights.dtype)
        out[0, :, first:] = scaled(scores, key, scale)
        out[1] = scaled(scores.mT, query, scale)
        torch.bmm(weights.mT, grad, out=out[2])
        return out, None


def scaled(left: Tensor, right: Tensor, scale: float) -> Tensor:
    """Give scale * left @ right, for batches of matrices."""
    return torch.baddbmm(left.new_empty(1, 1, 1), left, right, beta=0, alpha=scale)


class Attention(nn.Module):
    """Self-attention over [B L D], with timm's parameter names. A rotation turns queries and keys.

    Args:
        dim: width D.
        heads: number of heads; divides `dim`.
        bias: give the linear maps biases.

    Raises:
        ValueError: heads do not divide dim.
    """

    def __init__(self, dim: int, heads: int, bias: bool = True):
        super().__init__()
        whole(self, 1, dim=dim, heads=heads)
        if dim % heads:
            raise ValueError(
                f"Attention: heads: expected a divisor of dim = {dim}, got {heads}; "
                "change heads or dim"
            )
        self.heads = heads
        self.qkv = JointLinear(dim, 3 * dim, bias, maps=3)
        self.proj = nn.Linear(dim, dim, bias=bias)

    def forward(
        self,
        tokens: Float[Tensor, "B L D"],
        rotation: Rotation | None = None,
        asked: int | None = None,
    ) -> Float[Tensor, "B A D"]:
        """Attend from the last `asked` tokens to all tokens; default: from every token."""
        images, length = tokens.shape[:2]
        asked = length if asked is None else asked
        qkv = self.qkv(tokens).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if rotation is not None:
            qkv = torch.cat([rotate(qkv[:2], rotation), qkv[2:]])
        if tokens.is_cuda:
            mixed = F.scaled_dot_product_attention(qkv[0, :, :, length - asked :], qkv[1], qkv[2])
        else:
            mixed = Products.apply(qkv.flatten(1, 2), asked).unflatten(0, (images, self.heads))
        out: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return out
