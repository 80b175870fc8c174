"""An encoder whose tokens are codes of a codebook: a tokenizer (VQ-VAE, van den Oord et al. 2017;
BEiT v2, Peng et al. 2022).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from pymim.checks import finite, whole
from pymim.clusters.codebook import Codebook
from pymim.contracts import Encoder, Features, Mask, Run
from pymim.encoders.wrapped import Wrapped
from pymim.layers.init import init_weights
from pymim.layers.patch import patchify

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Quantised(Wrapped):
    """Replace each patch token of the trunk by the nearest of K codes, unit vectors [B N D].

        z = unit(W2 tanh(W1 x)),   token = code(z),   loss = commitment |code(z) - z|^2 / D.

    A predictor behind it reconstructs pixels, or features of a teacher, from the codes alone. Its
    gradient passes the codes as if they were z (straight through). Codes take no gradient: they
    follow the z (`clusters.Codebook`), and start as their k-means clusters in the first batch.
    Without a prefix: nothing but codes reaches the predictor.

    `targets.Codes` names the codes of a trained one, as classes.

    Args:
        trunk: the encoder.
        clusters: number K of codes.
        dim: width D of a code.
        commitment: weight of the loss that keeps z near its code.
        decay: how much of a code remains in a step that uses it.
        restart: steps without a vector after which a code restarts; 0: never, as in BEiT v2.

    Raises:
        ValueError: a number is out of range.
    """

    def __init__(
        self,
        trunk: Encoder,
        clusters: int = 8192,
        dim: int = 32,
        commitment: float = 1.0,
        decay: float = 0.99,
        restart: int = 20,
    ):
        whole(self, 1, dim=dim)
        finite(self, 0, commitment=commitment)
        super().__init__(trunk)
        self.commitment, self.clusters = commitment, clusters
        self.inner, self.width = trunk.prefix, dim
        self.prefix = self.placed = 0
        self.hidden, self.taps = "none", ()
        layers = nn.Linear(trunk.width, trunk.width), nn.Tanh(), nn.Linear(trunk.width, dim)
        self.project = nn.Sequential(*layers)
        init_weights(self.project)
        pixels = trunk.channels * math.prod(trunk.patch)
        self.book = Codebook(clusters, dim, pixels, decay, restart)

    @property
    def dense(self) -> bool:
        return True

    def forward(self, view: Float[Tensor, "B C *S"], mask: Mask | None = None) -> Features:
        features: Features = self.trunk(view)
        vectors = self._vectors(features)
        codes, _ = self.book(vectors, patchify(view, self.patch, last=True))
        losses = {"commitment": self.commitment * (codes - vectors).square().mean(-1)}
        tokens = vectors + (codes - vectors).detach()
        return Features(tokens, tokens[:, :0], {}, features.pooled, losses=losses)

    def codes(self, features: Features) -> Int[Tensor, "B N"]:
        """Give the numbers of the codes that the tokens are."""
        return self.book.nearest(features.tokens)

    def pixels(self, ids: Int[Tensor, "*B"]) -> Float[Tensor, "*B P"]:
        """Give the mean pixels of the patches of each code, channels last."""
        return self.book.looks[ids]

    @torch.no_grad()
    def before_run(self, run: Run) -> None:
        """Start the codes from the first batch, unless the run begins with trained ones."""
        if run.step or not self.training or bool(self.book.started):
            return
        batch = next(run.loader.batches(0, 1)).to(run.world.device)
        self.book.start(run, self._vectors(self.trunk(batch.views[0])).flatten(0, 1), run.seed)

    def _vectors(self, features: Features) -> Float[Tensor, "B N D"]:
        # In float32, as released: rounded vectors would tie.
        tokens = features.tokens.float()
        with torch.autocast("cuda" if tokens.is_cuda else "cpu", enabled=False):
            return normalize(self.project(tokens), dim=-1)
