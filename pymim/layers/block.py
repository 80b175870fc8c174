"""The pre-norm transformer block (ViT, Dosovitskiy et al. 2021), with timm's parameter names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pymim.layers.attention import Attention
from pymim.layers.linear import Linear
from pymim.layers.rotary import Rotation

if TYPE_CHECKING:
    from jaxtyping import Float

NORMS: dict[str, Callable[..., nn.Module]] = {"layer": nn.LayerNorm, "rms": nn.RMSNorm}


def make_norm(kind: str, dim: int, affine: bool = True, eps: float = 1e-6) -> nn.Module:
    """LayerNorm ("layer") or RMSNorm ("rms") over the last axis. torch's default eps, 1e-5, is not ViT's."""
    if kind not in NORMS:
        raise ValueError(f"norm: kind: expected one of {', '.join(NORMS)}, got {kind!r}; name one of them")
    return NORMS[kind](dim, eps=eps, elementwise_affine=affine)


class MLP(nn.Module):
    """fc2(gelu(fc1(x))), with the exact GELU."""

    def __init__(self, dim: int, hidden: int, bias: bool = True):
        super().__init__()
        self.fc1 = Linear(dim, hidden, bias=bias)
        self.fc2 = Linear(hidden, dim, bias=bias)

    def forward(self, tokens: Float[Tensor, "*L D"]) -> Tensor:
        out: Tensor = self.fc2(F.gelu(self.fc1(tokens)))
        return out


class LayerScale(nn.Module):
    """Each channel of a residual branch times a learned gain that starts small (CaiT, Touvron et al. 2021)."""

    def __init__(self, dim: int, start: float):
        super().__init__()
        self.start = start
        self.gamma = nn.Parameter(torch.full((dim,), start))

    def forward(self, tokens: Float[Tensor, "*L D"]) -> Tensor:
        return tokens * self.gamma


class DropPath(nn.Module):
    """In training, drops a residual branch of an image with probability `rate` (stochastic depth, Huang et al.
    2016), and divides by the share kept so that the expectation stays."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, branch: Float[Tensor, "B *L D"]) -> Tensor:
        if not self.training or self.rate == 0:
            return branch
        kept = branch.new_empty((len(branch),) + (1,) * (branch.dim() - 1)).bernoulli_(1 - self.rate)
        return branch * (kept / (1 - self.rate))


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(
        self,
        dim: int,
        heads: int,
        mlp_ratio: float = 4.0,
        bias: bool = True,
        norm: str = "layer",
        layer_scale: float | None = None,
        drop_path: float = 0.0,
    ):
        super().__init__()

        def scale() -> nn.Module:
            return nn.Identity() if layer_scale is None else LayerScale(dim, layer_scale)

        self.norm1, self.attn, self.ls1 = make_norm(norm, dim), Attention(dim, heads, bias), scale()
        self.norm2, self.mlp, self.ls2 = make_norm(norm, dim), MLP(dim, int(dim * mlp_ratio), bias), scale()
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(
        self, tokens: Float[Tensor, "B L D"], rotation: Rotation | None = None, asked: int | None = None
    ) -> Float[Tensor, "B A D"]:
        """The last `asked` tokens, by default all: what nobody asks for need not leave a last block."""
        mixed = self.drop_path(self.ls1(self.attn(self.norm1(tokens), rotation, asked)))
        tokens = tokens[:, tokens.shape[1] - mixed.shape[1] :] + mixed
        out: Tensor = tokens + self.drop_path(self.ls2(self.mlp(self.norm2(tokens))))
        return out
