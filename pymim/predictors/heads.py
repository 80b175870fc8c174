"""Classifiers of the pooled vector: the heads of clustering and self-distillation methods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pymim.checks import positive, whole
from pymim.clusters.prototypes import Prototypes
from pymim.contracts import Encoder, Features, Grid, Mask, Predictor
from pymim.layers.cosine import CosineLinear
from pymim.layers.init import init_weights

if TYPE_CHECKING:
    from jaxtyping import Float

KINDS: dict[str, Callable[[int, int], nn.Module]] = {
    "linear": nn.Linear,
    "cosine": CosineLinear,
    "unit": Prototypes,
}


class Heads(Predictor):
    """Score the pooled vector x, after an MLP, by S classifiers of K classes each [B S K].

    - "linear": W x + b (SeLa, Asano et al. 2020; SCAN, Van Gansbeke et al. 2020).
    - "cosine": gain <x / |x|, w / |w|> (DINO, Caron et al. 2021).
    - "unit": <x / |x|, w>, where rows w are set to unit length after each step (SwAV, Caron et al.
      2020).

    Scores are float32, under autocast too: cosines rounded to bfloat16 would tie.

    Args:
        encoder: the method's encoder.
        width: number K of classes.
        sets: number S of classifiers.
        kind: "linear", "cosine" or "unit".
        gain: gain of "cosine", the inverse of a temperature.
        learned: learn a gain for each class, starting at `gain`.
        layers: widths of the MLP, with GELUs between its linear maps; default: no MLP.

    Raises:
        ValueError: the kind is unknown, or a gain is given without "cosine".
    """

    reads = "pooled"

    def __init__(
        self,
        encoder: Encoder,
        width: int,
        sets: int = 1,
        kind: str = "linear",
        gain: float = 1.0,
        learned: bool = False,
        layers: Sequence[int] = (),
    ):
        super().__init__()
        whole(self, 1, sets=sets, layers=layers)
        positive(self, gain=gain)
        _check(kind, gain, learned)
        self.sets, self.width = sets, width
        sizes = [encoder.embedding, *layers]
        parts = [
            part
            for before, after in pairwise(sizes)
            for part in (nn.Linear(before, after), nn.GELU())
        ]
        self.mlp = nn.Sequential(*parts[:-1])
        for part in self.mlp.children():
            if isinstance(part, nn.Linear):
                nn.init.trunc_normal_(part.weight, std=0.02)
                nn.init.zeros_(part.bias)
        if kind == "cosine":
            self.head: nn.Module = CosineLinear(sizes[-1], sets * width, gain, learned)
            nn.init.kaiming_uniform_(self.head.weight, a=5**0.5)  # torch's default, as released
        else:
            self.head = KINDS[kind](sizes[-1], sets * width)
        if kind == "linear":
            init_weights(self.head)

    def forward(self, features: Features, mask: Mask | None, grid: Grid) -> Float[Tensor, "B S K"]:
        """Give the scores of every set."""
        vectors: Tensor = self.mlp(features.pooled)
        with torch.autocast("cuda" if vectors.is_cuda else "cpu", enabled=False):
            scores: Tensor = self.head(vectors.float()).unflatten(-1, (self.sets, self.width))
        return scores


def _check(kind: str, gain: float, learned: bool) -> None:
    if kind not in KINDS:
        raise ValueError(
            f"Heads: kind: expected one of {', '.join(KINDS)}, got {kind!r}; name one of them"
        )
    if kind != "cosine" and (gain != 1 or learned):
        raise ValueError(
            f"Heads: gain, learned: expected 1 and False with kind = {kind!r}, got {gain} and "
            f"{learned}; set kind = 'cosine', or the loss's temperature"
        )
