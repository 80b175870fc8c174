"""Cross-attention from queries to a context, and a block made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pymim.checks import whole
from pymim.layers.block import MLP, DropPath, Images, make_norm
from pymim.layers.linear import JointLinear
from pymim.layers.rotary import Rotation, rotate

if TYPE_CHECKING:
    from jaxtyping import Float


class CrossAttention(nn.Module):
    """Attend from queries [B M D] to a context [B L W]. Rotations, if any, are one for each side.

    Args:
        dim: width D of the queries.
        heads: number of heads; divides `dim`.
        bias: give the linear maps biases.
        context: width W of the context; default: `dim`.

    Raises:
        ValueError: heads do not divide dim.
    """

    def __init__(self, dim: int, heads: int, bias: bool = True, context: int | None = None):
        super().__init__()
        whole(self, 1, dim=dim, heads=heads)
        if dim % heads:
            raise ValueError(
                f"CrossAttention: heads: expected a divisor of dim = {dim}, got {heads}; "
                "change heads or dim"
            )
        self.heads = heads
        self.q = nn.Linear(dim, dim, bias=bias)
        self.kv = JointLinear(context or dim, 2 * dim, bias, maps=2)
        self.proj = nn.Linear(dim, dim, bias=bias)

    def forward(
        self,
        queries: Float[Tensor, "B M D"],
        context: Float[Tensor, "B L W"],
        rotations: tuple[Rotation, Rotation] | None = None,
        values: Float[Tensor, "B L W"] | None = None,
    ) -> Float[Tensor, "B M D"]:
        """Attend; with `values`, the context gives keys alone."""
        query = self.q(queries).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        joint = self.kv(context) if values is None else self._apart(context, values)
        key, value = joint.unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if rotations is not None:
            query, key = rotate(query, rotations[0]), rotate(key, rotations[1])
        mixed = F.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return out

    def _apart(self, keys: Tensor, values: Tensor) -> Tensor:
        """Map keys by the first half of the joint map, and values by the second."""
        biases = (None, None) if self.kv.bias is None else self.kv.bias.chunk(2)
        halves = zip((keys, values), self.kv.weight.chunk(2), biases, strict=True)
        return torch.cat([F.linear(tokens, weight, bias) for tokens, weight, bias in halves], -1)


class CrossBlock(nn.Module):
    """Compute x + attention(norm(x), context), then x + mlp(norm(x)). Queries do not see each
    other.

    Args:
        dim: width of the queries.
        heads: attention heads.
        mlp_ratio: width of the MLP over `dim`.
        bias: give the linear maps biases.
        norm: "layer" or "rms".
        context: width of the context; default: `dim`.
        drop_path: share of the batch that each branch leaves out in training.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        mlp_ratio: float = 4.0,
        bias: bool = True,
        norm: str = "layer",
        context: int | None = None,
        drop_path: float = 0.0,
    ):
        super().__init__()
        self.norm1, self.attn = make_norm(norm, dim), CrossAttention(dim, heads, bias, context)
        self.norm2, self.mlp = make_norm(norm, dim), MLP(dim, int(dim * mlp_ratio), bias)
        self.drop_path = DropPath(drop_path, subset=True)

    def forward(
        self,
        queries: Float[Tensor, "B M D"],
        context: Float[Tensor, "B L W"],
        rotations: tuple[Rotation, Rotation] | None = None,
    ) -> Float[Tensor, "B M D"]:
        def attend(images: Images) -> Tensor:
            turns = (
                None if rotations is None else (rotations[0].of(images), rotations[1].of(images))
            )
            mixed: Tensor = self.attn(self.norm1(queries[images]), context[images], turns)
            return mixed

        mixed = self.drop_path(queries, attend)
        out: Tensor = self.drop_path(mixed, lambda images: self.mlp(self.norm2(mixed[images])))
        return out
