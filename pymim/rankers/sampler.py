"""Learn each patch's chance to be visible (AdaMAE, Bandara et al. 2023)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pymim.checks import finite, positive, whole
from pymim.contracts import Batch, Branch, Draw, Encoder, Ranker
from pymim.layers.block import TransformerBlock
from pymim.layers.init import init_weights
from pymim.layers.patch import PatchEmbed
from pymim.layers.positions import resample
from pymim.rankers.chosen import chosen

if TYPE_CHECKING:
    from jaxtyping import Float

    from pymim.objective import Objective


class Sampler(Ranker):
    """Give chances p [B N] of all patches of a view; `masks.Weighted` draws the visible ones by
    them.

    p is the softmax of one block and a linear map, applied to the encoder's patch embedding plus
    learned positions. It learns from -weight log p_i l_i at the predicted patches, with detached
    losses l: a hidden patch that was hard to predict becomes more likely to be visible. This is a
    policy gradient; log p is that of a single draw, not of drawing without replacement.

    As in the released code, the gradient reaches the patch embedding, at this small weight, and
    nothing else of the encoder. Unlike there, the block has no dropout: a mask must be a function
    of its picture and of the weights.

    Args:
        encoder: the method's encoder, with a `patch_embed`, such as a ViT.
        objectives: the method's objectives.
        heads: attention heads of the block.
        mlp_ratio: width of the block's MLP over the encoder's.
        bias: give the block's linear maps biases.
        norm: "layer" or "rms".
        weight: weight of its mean in the loss.
        of: name of the objective whose losses train it; default: the first. It must be on predicted
            patches.
        train_embedding: let the gradient reach the encoder's patch embedding.

    Raises:
        ValueError: the encoder has no patch embedding, or no objective fits.
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
        train_embedding: bool = True,
    ):
        super().__init__()
        whole(self, 1, heads=heads)
        positive(self, mlp_ratio=mlp_ratio)
        finite(self, 0, weight=weight)
        embed = getattr(encoder.bare, "patch_embed", None)
        if not isinstance(embed, PatchEmbed):
            kind = type(encoder).__name__
            raise ValueError(
                f"Sampler: encoder: expected an encoder with a patch embedding, got {kind}; "
                "use encoders.ViT"
            )
        self.of, self.weight = chosen("Sampler", objectives, of).name, weight
        self.train_embedding = train_embedding
        # In a list: the encoder registers the embedding, whose parameters must not be listed twice.
        self.base, self._embed = encoder.base, [embed]
        self._grid = encoder.grid
        self.pos_embed = nn.Parameter(torch.zeros(1, math.prod(encoder.base), encoder.width))
        self.block = TransformerBlock(encoder.width, heads, mlp_ratio, bias, norm)
        self.head = nn.Linear(encoder.width, 1)
        init_weights(self)

    def forward(self, batch: Batch, draw: Draw) -> Float[Tensor, "B N"]:
        view = batch.views[draw.view]
        tokens: Tensor = self._embed[0](view)
        places = resample(self.pos_embed, self.base, self._grid(view.shape))
        logits: Tensor = self.head(
            self.block((tokens if self.train_embedding else tokens.detach()) + places)
        )
        return logits.squeeze(-1).float().softmax(-1)

    def loss(self, branch: Branch, losses: dict[str, Tensor]) -> Float[Tensor, "B M"] | None:
        """Give -weight log p times the loss, for every predicted patch."""
        if self.of not in losses or branch.mask is None:
            return None
        assert branch.difficulty is not None, "it is this ranker's own"
        chances = branch.difficulty.gather(1, branch.mask.predicted)
        least = torch.finfo(chances.dtype).tiny  # a chance may round to 0, which has no logarithm
        return -self.weight * chances.clamp_min(least).log() * losses[self.of]
