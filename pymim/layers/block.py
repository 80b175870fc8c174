"""The pre-norm transformer block (ViT, Dosovitskiy et al. 2021), with timm's parameter names."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pymim.checks import share
from pymim.layers.attention import Attention
from pymim.layers.rotary import Rotation
from pymim.parts import fraction

if TYPE_CHECKING:
    from jaxtyping import Float

Images = Tensor | slice  # indices of some images of a batch, or a slice for all
Branch = Callable[[Images], Tensor]

NORMS: dict[str, Callable[..., nn.Module]] = {
    "layer": functools.partial(nn.LayerNorm, eps=1e-6),  # ViT's; torch's default is 1e-5
    "rms": functools.partial(nn.RMSNorm, eps=1e-5),  # CAPI's (Darcet et al. 2025)
}


def make_norm(kind: str, dim: int, affine: bool = True) -> nn.Module:
    """Make LayerNorm ("layer", eps 1e-6) or RMSNorm ("rms", eps 1e-5) over the last axis.

    Raises:
        ValueError: the kind is unknown.
    """
    if kind not in NORMS:
        raise ValueError(
            f"norm: kind: expected one of {', '.join(NORMS)}, got {kind!r}; name one of them"
        )
    return NORMS[kind](dim, elementwise_affine=affine)


class MLP(nn.Module):
    """Compute fc2(gelu(fc1(x))), with the exact GELU."""

    def __init__(self, dim: int, hidden: int, bias: bool = True):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden, bias=bias)
        self.fc2 = nn.Linear(hidden, dim, bias=bias)

    def forward(self, tokens: Float[Tensor, "*L D"]) -> Tensor:
        out: Tensor = self.fc2(F.gelu(self.fc1(tokens)))
        return out


class LayerScale(nn.Module):
    """Multiply each channel of a residual branch by a learned gain that starts small (CaiT, Touvron
    et al. 2021).
    """

    def __init__(self, dim: int, start: float):
        super().__init__()
        self.start = start
        self.gamma = nn.Parameter(torch.full((dim,), start))

    def forward(self, tokens: Float[Tensor, "*L D"]) -> Tensor:
        return tokens * self.gamma


class DropPath(nn.Module):
    """Compute x + branch(x); in training, leave the branch out for a share `rate` of the images.

    The branch is scaled up for the others, so the expectation stays (stochastic depth, Huang et al.
    2016).

    Args:
        rate: share of images without the branch.
        subset: compute the branch for exactly B (1 - rate) random images, rounded down but at least
            one (DINOv2, Oquab et al. 2024; CAPI, Darcet et al. 2025). Otherwise each image draws
            for itself.
    """

    def __init__(self, rate: float = 0.0, subset: bool = False):
        super().__init__()
        self.rate, self.subset = rate, subset
        self.kept = fraction(1 - rate)

    def forward(self, tokens: Float[Tensor, "B L D"], branch: Branch) -> Float[Tensor, "B A D"]:
        """Add the branch to the last A tokens.

        branch(images) gives [b A D], its value for the last A tokens of these images of the batch.
        """
        dropping = self.training and self.rate > 0
        if dropping and self.subset:
            return self._to_some(tokens, branch)
        made = branch(slice(None))
        if dropping:
            kept = made.new_empty(len(made), 1, 1).bernoulli_(1 - self.rate)
            made = made * (kept / (1 - self.rate))
        return tokens[:, tokens.shape[1] - made.shape[1] :] + made

    def _to_some(self, tokens: Tensor, branch: Branch) -> Tensor:
        count = max(1, len(tokens) * self.kept.numerator // self.kept.denominator)
        images = torch.randperm(len(tokens), device=tokens.device)[:count]
        made = branch(images)
        tokens = tokens[:, tokens.shape[1] - made.shape[1] :]
        return tokens.index_add(0, images, made.to(tokens.dtype), alpha=len(tokens) / count)


def ramp(rate: float, depth: int) -> list[float]:
    """Give a rate of stochastic depth for each block: from 0 in the first to `rate` in the last."""
    share("drop_path", "from 0 to below 1", drop_path=rate)
    return [rate * number / max(1, depth - 1) for number in range(depth)]


class TransformerBlock(nn.Module):
    """Compute x + attention(norm(x)), then x + mlp(norm(x)).

    Args:
        dim: width of the tokens.
        heads: attention heads.
        mlp_ratio: width of the MLP over `dim`.
        bias: give the linear maps biases.
        norm: "layer" or "rms".
        layer_scale: initial gain of each branch; None: no gains.
        drop_path: rate of stochastic depth.
        drop_subset: see `subset` of `DropPath`.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        mlp_ratio: float = 4.0,
        bias: bool = True,
        norm: str = "layer",
        layer_scale: float | None = None,
        drop_path: float = 0.0,
        drop_subset: bool = False,
    ):
        super().__init__()

        def scale() -> nn.Module:
            return nn.Identity() if layer_scale is None else LayerScale(dim, layer_scale)

        self.norm1, self.attn = make_norm(norm, dim), Attention(dim, heads, bias)
        self.ls1 = scale()
        self.norm2, self.mlp = make_norm(norm, dim), MLP(dim, int(dim * mlp_ratio), bias)
        self.ls2 = scale()
        self.drop_path = DropPath(drop_path, drop_subset)

    def forward(
        self,
        tokens: Float[Tensor, "B L D"],
        rotation: Rotation | None = None,
        asked: int | None = None,
    ) -> Float[Tensor, "B A D"]:
        """Give the last `asked` tokens; default: all.

        A decoder's last block needs no output for visible patches, so their queries and MLP are
        skipped.
        """

        def attend(images: Images) -> Tensor:
            turn = None if rotation is None else rotation.of(images)
            mixed: Tensor = self.ls1(self.attn(self.norm1(tokens[images]), turn, asked))
            return mixed

        mixed = self.drop_path(tokens, attend)
        out: Tensor = self.drop_path(
            mixed, lambda images: self.ls2(self.mlp(self.norm2(mixed[images])))
        )
        return out
