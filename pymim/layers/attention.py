"""Multi-head self-attention (Vaswani et al. 2017), by whatever is fastest at a patch sequence's length."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

from pymim.layers.rotary import Rotation, rotate

if TYPE_CHECKING:
    from jaxtyping import Float


def attend(
    query: Float[Tensor, "B H L E"], key: Float[Tensor, "B H S E"], value: Float[Tensor, "B H S E"]
) -> Float[Tensor, "B H L E"]:
    """softmax(q k' / sqrt(E)) v.

    On the CPU by plain products: at a few hundred tokens the backward pass of torch's flash attention there
    takes about as long as the rest of the block.
    """
    if query.is_cuda:
        return F.scaled_dot_product_attention(query, key, value)
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
    mixed: Tensor = scores.softmax(-1) @ value
    return mixed


class Attention(nn.Module):
    """Self-attention over [B L D], with timm's parameter names. A rotation turns queries and keys."""

    def __init__(self, dim: int, heads: int, bias: bool = True):
        super().__init__()
        if dim % heads:
            raise ValueError(f"Attention: heads: expected a divisor of dim {dim}, got {heads}; change either")
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=bias)
        self.proj = nn.Linear(dim, dim, bias=bias)

    def forward(self, tokens: Float[Tensor, "B L D"], rotation: Rotation | None = None) -> Tensor:
        b, length, dim = tokens.shape
        qkv = self.qkv(tokens).view(b, length, 3, self.heads, dim // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        if rotation is not None:
            query, key = rotate(query, rotation), rotate(key, rotation)
        mixed = attend(query, key, value).transpose(1, 2).reshape(b, length, dim)
        out: Tensor = self.proj(mixed)
        return out
