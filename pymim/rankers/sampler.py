"""A learned chance of every patch to be shown (AdaMAE, Bandara et al. 2023)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pymim.checks import finite, positive, whole
from pymim.contracts import Batch, Branch, Draw, Encoder, Ranker
from pymim.layers.block import Block
from pymim.layers.init import init_weights
from pymim.layers.linear import Linear
from pymim.layers.patch import PatchEmbed
from pymim.layers.positions import resample
from pymim.rankers.chosen import chosen

if TYPE_CHECKING:
    from jaxtyping import Float

    from pymim.objective import Objective


class Sampler(Ranker):
    """Chances p of all patches of a view, for `masks.Weighted` to draw the visible ones by.

    They are the softmax of what one block and a linear map make of the encoder's patch embedding
    and of learned positions of its own. It learns by -weight log p_i l_i at the predicted patches,
    with the losses l detached: a hidden patch that was hard to predict becomes likelier to be
    shown. That is a policy gradient; log p is of one draw, not of the draw without replacement.

    As in the released code the gradient reaches the patch embedding, at this small weight, and
    nothing else of the encoder. Unlike there the block has no dropout, as a mask is a function of
    its picture and of the weights.

    Args:
        encoder, objectives: of the method. The encoder has a `patch_embed`, as a ViT has.
        heads, mlp_ratio, bias, norm: of the block.
        weight: what its mean counts for in the loss.
        of: name of the objective whose losses teach it; by default the first. It is on predicted
            patches.
        share: whether the gradient reaches the encoder's patch embedding.
    """

    def __init__(
        self,
        encoder: Encoder,
        objectives: Sequence[Objective],
        heads: int = 8,
        mlp_ratio: float = 4.0,
        bias: bool = False,
        norm: str = "layer",
        weight: float = 1e-4,
        of: str = "",
        share: bool = True,
    ):
        super().__init__()
        whole(self, 1, heads=heads)
        positive(self, mlp_ratio=mlp_ratio)
        finite(self, 0, weight=weight)
        embed = getattr(encoder.bare, "patch_embed", None)
        if not isinstance(embed, PatchEmbed):
            kind = type(encoder).__name__
            raise ValueError(
                f"Sampler: encoder: expected one with a patch embedding, got {kind}; encode with a ViT"
            )
        self.of, self.weight, self.share = chosen("Sampler", objectives, of).name, weight, share
        self.base, self._embed, self._grid = encoder.base, [embed], encoder.grid
        self.pos_embed = nn.Parameter(torch.zeros(1, math.prod(encoder.base), encoder.width))
        self.block = Block(encoder.width, heads, mlp_ratio, bias, norm)
        self.head = Linear(encoder.width, 1)
        init_weights(self)

    def forward(self, batch: Batch, draw: Draw) -> Float[Tensor, "B N"]:
        view = batch.views[draw.view]
        tokens: Tensor = self._embed[0](view)
        places = resample(self.pos_embed, self.base, self._grid(view.shape))
        logits: Tensor = self.head(self.block((tokens if self.share else tokens.detach()) + places))
        return logits.squeeze(-1).float().softmax(-1)

    def loss(self, branch: Branch, losses: dict[str, Tensor]) -> Float[Tensor, "B M"] | None:
        """Give -weight log p times the loss, of every predicted patch."""
        if self.of not in losses or branch.mask is None:
            return None
        assert branch.difficulty is not None, "it is this ranker's own"
        chances = branch.difficulty.gather(1, branch.mask.predicted)
        least = torch.finfo(chances.dtype).tiny  # of a chance that rounds to 0 the logarithm is none
        return -self.weight * chances.clamp_min(least).log() * losses[self.of]
